"""Errors of the HTTP API, and the response that each error of the program becomes."""

from __future__ import annotations

from starlette.responses import JSONResponse, Response

from ..errors import (
    CancelledError,
    ImageError,
    MemoryLimitError,
    OptionError,
    StyleTransferError,
    is_out_of_memory,
)


class RequestError(StyleTransferError):
    """A request that is refused.

    Args:
        status: HTTP status.
        message: What is wrong with it.
        hint: What the client can do.
        facts: Further members of the JSON object.
    """

    def __init__(self, status: int, message: str, *, hint: str | None = None, **facts: object) -> None:
        super().__init__(message, hint=hint)
        self.status = status
        self.facts = facts


# The first class that fits decides.
STATUS = {OptionError: 400, ImageError: 422, MemoryLimitError: 413, StyleTransferError: 500}


def respond_to_error(error: BaseException) -> Response:
    """Return an error as JSON: {"error": what went wrong, "hint": what to do}."""
    if isinstance(error, CancelledError):
        return JSONResponse({"error": "the work was canceled"}, 409)
    if not isinstance(error, StyleTransferError) and is_out_of_memory(error):
        error = MemoryLimitError("out of memory", hint="choose a smaller size")
    if not isinstance(error, StyleTransferError):
        return JSONResponse({"error": f"unexpected {type(error).__name__}"}, 500)
    facts: dict[str, object] = {"error": error.message}
    if error.hint is not None:
        facts["hint"] = error.hint
    if isinstance(error, RequestError):
        headers = {"Connection": "close"}  # what is left of the body is not read
        if error.status == 503:
            headers["Retry-After"] = "1"
        return JSONResponse(facts | error.facts, error.status, headers)
    status = next(status for kind, status in STATUS.items() if isinstance(error, kind))
    return JSONResponse(facts, status)
