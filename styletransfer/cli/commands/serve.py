"""`styletransfer serve`: a web page to play on, and an HTTP API."""

from __future__ import annotations

import json
import secrets
import socket
from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import Any

import click

from ...errors import OptionError
from ...options import ProcessOptions, RuntimeOptions, ServeOptions
from ..click_options import build_options, dataclass_option, model_option, runtime_options
from ..configured_command import ConfiguredCommand
from ..console import Console, explain_error
from ..paths import decode_name, find_weights_folder
from ..stylize_job import load_stylizer
from ..thread_pool import set_threads


@click.command(cls=ConfiguredCommand)
@dataclass_option(ServeOptions, "host", metavar="ADDRESS")
@dataclass_option(ServeOptions, "port", "-p", "--port", metavar="N")
@dataclass_option(ServeOptions, "token", metavar="TEXT", show_default="generated with --host, else none")
@dataclass_option(ServeOptions, "allowed_hosts", metavar="NAME,...", show_default="none")
@dataclass_option(ServeOptions, "max_upload", metavar="50M")
@dataclass_option(ServeOptions, "max_megapixels", metavar="N")
@model_option
@runtime_options
@click.option("--json", "as_json", is_flag=True, help="Write the address and the token as a JSON object.")
@click.pass_obj
def serve(console: Console, /, model: str, as_json: bool, **values: Any) -> None:
    """Serve a web page to play on, and an HTTP API.

    The address of the page goes to standard output. Only this machine reaches it, unless --host is given.
    Pictures stay in memory, and nothing is written to disk. Ctrl-C or SIGTERM ends the server; what is in
    the making then is finished first, for up to 30 seconds.

    It needs `pip install 'styletransfer[ui]'`.
    """
    options = build_options(ServeOptions, values)
    runtime = build_options(RuntimeOptions, values)
    try:
        from ...page.server import change_memory, open_socket, run_server, split_memory
    except ModuleNotFoundError as error:
        if error.name not in {"starlette", "uvicorn"}:
            raise
        hint = "run `pip install 'styletransfer[ui]'`"
        raise OptionError("serve needs Starlette and uvicorn", hint=hint) from error

    from ...api import Stylizer

    def report(error: BaseException) -> None:
        console.traceback(error)
        console.error(str(explain_error(error)))

    if options.token is None and not options.is_local:
        options = replace(options, token=secrets.token_urlsafe(24))
    limited, memory = split_memory(runtime)
    set_threads(build_options(ProcessOptions, values))
    stop = Event()
    with open_socket(options) as listening:
        stylizer = load_stylizer(console, model, limited, stop=stop)
        previewer = stylizer
        if runtime.max_memory is not None:
            folder = find_weights_folder()
            previewer = Stylizer(
                model, runtime=change_memory(runtime, None), weights_folder=folder, stop=stop
            )
        address = name_address(listening, options.token)
        console.result(json.dumps({"url": address, "token": options.token}) if as_json else address)
        run_server(
            listening,
            options,
            stylizer,
            previewer,
            model=decode_name(Path(model)),
            runtime=runtime,
            memory=memory,
            stop=stop,
            report=report,
        )


def name_address(listening: socket.socket, token: str | None) -> str:
    """Return the address of the page on a socket, with the token where only the page reads it."""
    host, port = listening.getsockname()[:2]
    if host in {"0.0.0.0", "::"}:  # all addresses of this machine
        host = socket.gethostname()
    fragment = "" if token is None else f"#token={token}"
    return f"http://{f'[{host}]' if ':' in host else host}:{port}/{fragment}"
