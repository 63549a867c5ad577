"""Runs the page with uvicorn, until a signal ends it."""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable
from threading import Event

import uvicorn

from ..api import Stylizer
from ..errors import OptionError
from ..options import RuntimeOptions, ServeOptions, parse_bytes
from ..options.serving import LOCAL_HOSTS
from .access import AccessControl
from .application import Application
from .renderer import Renderer

DRAIN_SECONDS = 30  # for what is in the making when the server is asked to end
# Without a memory limit, for pictures; and as much again for measured styles. With one, a quarter each.
DEFAULT_MEMORY = 2**29
PREVIEW_MEMORY = 224 * 2**20  # what the largest preview takes, as `default_memory` plans it
LEAST_MEMORY = 2**29


def split_memory(runtime: RuntimeOptions) -> tuple[RuntimeOptions, int]:
    """Divide the memory limit: return the options for full results, and the bytes for what is remembered.

    Raises:
        OptionError: The limit is too low for a server.
    """
    if runtime.max_memory is None:
        return runtime, DEFAULT_MEMORY
    limit = parse_bytes(runtime.max_memory)
    if limit < LEAST_MEMORY:
        raise OptionError(
            f"{runtime.max_memory} of memory are too little for a server",
            hint=f"give at least --max-memory {LEAST_MEMORY // 2**20}M",
        )
    # What is remembered counts as taken where the pipeline plans, so it is part of this.
    return change_memory(runtime, limit - PREVIEW_MEMORY), limit // 8


def change_memory(runtime: RuntimeOptions, limit: int | None) -> RuntimeOptions:
    """Return options with another memory limit in bytes."""
    text = None if limit is None else f"{limit // 2**20}M"
    return RuntimeOptions(
        device=runtime.device, precision=runtime.precision, tile=runtime.tile, max_memory=text
    )


def open_socket(options: ServeOptions) -> socket.socket:
    """Listen at the address of some options.

    Raises:
        OptionError: The port is in use, or the address is not this machine's.
    """
    try:
        family, _, _, _, address = socket.getaddrinfo(
            options.host, options.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        return socket.create_server(address[:2], family=family, backlog=1024)
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise OptionError(
            f"cannot listen at {options.host}, port {options.port} ({reason})",
            hint="choose another --port, or 0 for a free one",
        ) from error


def run_server(
    listening: socket.socket,
    options: ServeOptions,
    stylizer: Stylizer,
    previewer: Stylizer,
    *,
    model: str,
    runtime: RuntimeOptions,
    memory: int,
    stop: Event,
    report: Callable[[BaseException], None],
) -> None:
    """Answer requests until SIGINT or SIGTERM, which is raised again after what is in the making is done.

    Args:
        listening: An open socket, see `open_socket`.
        options: Who may send what; the token is complete.
        stylizer: Makes full results.
        previewer: Makes previews.
        model: Name of the model in recorded settings.
        runtime: Where results are computed, for command lines.
        memory: Bytes for pictures, and as many again for measured styles.
        stop: The event that ends the work of both stylizers.
        report: Receives errors that nobody expected.
    """
    max_pixels = options.max_megapixels * 1_000_000
    renderer = Renderer(
        stylizer, previewer, model=model, runtime=runtime, memory=memory, max_pixels=max_pixels
    )
    application = Application(renderer, parse_bytes(options.max_upload), max_pixels)
    names = {*LOCAL_HOSTS, *(options.allowed_hosts or ())}
    if not options.is_local:
        names |= {options.host, socket.gethostname(), socket.getfqdn()}
    guarded = AccessControl(
        application.build(),
        names=names,
        accept_addresses=not options.is_local,
        token=options.token,
        open_paths=application.open_paths,
        report=report,
    )
    logging.getLogger("uvicorn").setLevel(logging.CRITICAL)  # malformed requests are no news
    config = uvicorn.Config(
        guarded,
        http="h11",
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=DRAIN_SECONDS,
    )
    try:
        uvicorn.Server(config).run(sockets=[listening])
    finally:
        stop.set()
