"""Bodies of requests, whose bytes are counted while they arrive."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from starlette.requests import Request

from .errors import RequestError

CHUNK_SECONDS = 10.0  # a client that sends nothing for this long is refused
JSON_BYTES = 2**16


class BodyReader:
    """Reads bodies. All that are on their way share one amount of memory.

    Args:
        total: Most bytes that bodies on their way take together.
    """

    def __init__(self, total: int) -> None:
        self._total = total
        self._arrived = 0

    async def read(self, request: Request, limit: int) -> bytes:
        """Return the body of a request.

        Raises:
            RequestError: It is larger than `limit`, does not arrive, or others take the memory.
        """
        too_large = RequestError(413, f"the body is larger than {limit} bytes", limit=limit)
        announced = request.headers.get("content-length", "")
        if announced.isdecimal() and int(announced[:20]) > limit:
            raise too_large
        body = bytearray()
        chunks = aiter(request.stream())
        try:
            while True:
                try:
                    chunk = await asyncio.wait_for(anext(chunks), CHUNK_SECONDS)
                except StopAsyncIteration:
                    return bytes(body)
                except TimeoutError as error:
                    raise RequestError(408, "the body does not arrive") from error
                if len(body) + len(chunk) > limit:
                    raise too_large
                if self._arrived + len(chunk) > self._total:
                    raise RequestError(503, "too many pictures arrive at once", hint="try again later")
                self._arrived += len(chunk)
                body += chunk
        finally:
            self._arrived -= len(body)

    async def read_json(self, request: Request) -> dict[str, Any]:
        """Return the JSON object in the body of a request.

        Raises:
            RequestError: There is no such object.
        """
        try:
            value = json.loads(await self.read(request, JSON_BYTES))
        except (ValueError, RecursionError) as error:
            raise RequestError(400, "the body is not JSON") from error
        if not isinstance(value, dict):
            raise RequestError(400, "the body is not a JSON object")
        return value
