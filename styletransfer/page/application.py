"""The HTTP API: what each address answers. docs/server.md describes it for clients."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any
from urllib.parse import quote

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from styletransfer import __version__

from ..errors import CancelledError, StyleTransferError
from .errors import RequestError, respond_to_error
from .openapi import describe_api
from .options_form import describe_options
from .render_queue import Queue, Render, while_connected
from .renderer import EncodedPicture, Renderer, Upload
from .stylize_request import FORMATS, LARGEST_PREVIEW, StylizeRequest
from .uploads import BodyReader

# Previews and full results have a queue and a thread each, so that none waits for the other kind.
WAITING_PREVIEWS, WAITING_RENDERS, WAITING_READS = 16, 8, 32
BODIES = 4  # bodies of the largest size that may be on their way at once
LONGEST_NAME = 200
MEDIA_TYPES = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
    "jpg": "image/jpeg",
}


class Application:
    """The answers to all requests.

    Args:
        renderer: Makes the pictures.
        max_upload: Most bytes of a picture file.
        max_pixels: Most pixels of a picture and of a result.
    """

    def __init__(self, renderer: Renderer, max_upload: int, max_pixels: int) -> None:
        self._renderer = renderer
        self._max_upload = max_upload
        self._max_pixels = max_pixels
        self._bodies = BodyReader(BODIES * max_upload)
        self._previews = Queue("previews", WAITING_PREVIEWS)
        self._renders = Queue("pictures", WAITING_RENDERS)
        self._reads = Queue("files", WAITING_READS)
        self._running: dict[str, tuple[Render, asyncio.Future[EncodedPicture]]] = {}
        self.page_files = read_page_files()
        self.open_paths = {*self.page_files, "/health", "/openapi.json"}  # which hold no data of anybody

    def build(self) -> Starlette:
        """Return the ASGI application."""
        handlers: dict[Any, Callable[..., Any]] = {
            StyleTransferError: _handle_error,
            CancelledError: _handle_error,
            HTTPException: _handle_unknown_address,
            Exception: _handle_error,
        }
        routes = [
            *(Route(path, self._send_page_file) for path in self.page_files),
            Route("/health", self._answer_health),
            Route("/openapi.json", self._describe_api),
            Route("/settings", self._describe),
            Route("/pictures", self._add_picture, methods=["POST"]),
            Route("/pictures/{id}", self._show_picture),
            Route("/stylize", self._stylize, methods=["POST"]),
            Route("/command", self._compose_command, methods=["POST"]),
            Route("/renders/{name}", self._describe_render),
            Route("/renders/{name}", self._cancel_render, methods=["DELETE"]),
        ]
        return Starlette(routes=routes, exception_handlers=handlers, lifespan=self._close_at_end)

    @asynccontextmanager
    async def _close_at_end(self, _: Starlette) -> AsyncIterator[None]:
        yield
        for render, work in self._running.values():
            render.cancel()
            work.cancel()
        for queue in (self._previews, self._renders, self._reads):
            queue.close()

    async def _send_page_file(self, request: Request) -> Response:
        data, media_type = self.page_files[request.url.path]
        return Response(data, media_type=media_type, headers={"Cache-Control": "no-cache"})

    async def _answer_health(self, _: Request) -> Response:
        """Answer at once, whatever waits in the queues, so that no supervisor ends a busy server."""
        return JSONResponse({"status": "ok"})

    async def _describe_api(self, _: Request) -> Response:
        return JSONResponse(describe_api(self._max_upload, self._max_pixels))

    async def _describe(self, _: Request) -> Response:
        """Answer what the page needs to know to build itself."""
        stylizer = self._renderer.stylizer
        examples = [path for path in self.page_files if path.startswith("/examples/")]
        facts = {
            "version": __version__,
            "model": stylizer.model_name,
            "device": stylizer.device,
            "options": describe_options(),
            "formats": list(FORMATS),
            "largest_preview": LARGEST_PREVIEW,
            "max_upload": self._max_upload,
            "max_pixels": self._max_pixels,
            "contents": [path for path in examples if "/content/" in path],
            "styles": [path for path in examples if "/style/" in path],
        }
        return JSONResponse(facts)

    async def _add_picture(self, request: Request) -> Response:
        name = "".join(c for c in request.query_params.get("name", "") if c.isprintable() and c not in "/\\")
        data = await self._bodies.read(request, self._max_upload)
        name = name[-LONGEST_NAME:] or "picture"
        upload: Upload = await self._reads.run(lambda: self._renderer.add_picture(data, name))
        facts = {key: value for key, value in upload._asdict().items() if key != "data"}
        return JSONResponse(facts, 201)

    async def _show_picture(self, request: Request) -> Response:
        text = request.query_params.get("size")
        if text is not None and not (text.isascii() and text.isdecimal() and 0 < len(text) < 7 and int(text)):
            raise RequestError(400, f"size is {text[:20]!r}", hint="give a number of pixels")
        key, edge = request.path_params["id"], int(text) if text else None
        return _respond(await self._reads.run(lambda: self._renderer.show_picture(key, edge)))

    async def _stylize(self, request: Request) -> Response:
        wanted = await self._read_request(request)
        render = Render()
        make, queue = self._renderer.render, self._renders
        if wanted.preview is not None:
            make, queue = self._renderer.preview, self._previews
        if wanted.render in self._running:
            raise RequestError(409, "there is a render of this name already", hint="choose another name")
        work = asyncio.ensure_future(queue.run(lambda: make(wanted, render), render))
        if wanted.render is not None:
            self._running[wanted.render] = render, work
        try:
            return _respond(await while_connected(request, work))
        finally:
            if wanted.render is not None:
                del self._running[wanted.render]

    async def _compose_command(self, request: Request) -> Response:
        wanted = await self._read_request(request)
        return JSONResponse({"command": self._renderer.compose_command(wanted)})

    async def _describe_render(self, request: Request) -> Response:
        name = request.path_params["name"]
        if name not in self._running:  # no error, because clients ask before it has begun and after its end
            return JSONResponse({"state": "unknown", "progress": 0.0, "seconds_left": None})
        return JSONResponse(self._running[name][0].describe())

    async def _cancel_render(self, request: Request) -> Response:
        name = request.path_params["name"]
        if name in self._running:
            render, work = self._running[name]
            render.cancel()
            work.cancel()
        return Response(status_code=204)

    async def _read_request(self, request: Request) -> StylizeRequest:
        wanted = StylizeRequest.parse(await self._bodies.read_json(request))
        self._renderer.check(wanted)
        return wanted


def read_page_files() -> dict[str, tuple[bytes, str]]:
    """Return the files of the page and the example pictures, with their media types, by address."""
    found = {f"/{each.name}": each for each in _list_files(files(__package__) / "static")}
    for kind in ("content", "style"):
        folder = files(__package__) / "examples" / kind
        found |= {f"/examples/{kind}/{each.name}": each for each in _list_files(folder)}
    found["/"] = found.pop("/index.html")
    return {
        path: (each.read_bytes(), MEDIA_TYPES[each.name.rpartition(".")[2]]) for path, each in found.items()
    }


def _list_files(folder: Traversable) -> list[Traversable]:
    return sorted((each for each in folder.iterdir() if each.is_file()), key=lambda each: each.name)


def _respond(picture: EncodedPicture) -> Response:
    headers = {"Content-Disposition": f"inline; filename*=UTF-8''{quote(picture.name, safe='')}"}
    return Response(picture.data, media_type=picture.media_type, headers=headers)


async def _handle_error(_: Request, error: Exception) -> Response:
    return respond_to_error(error)


async def _handle_unknown_address(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return JSONResponse({"error": error.detail}, error.status_code, error.headers)
