"""Parts of the server by themselves: unexpected errors, the memory for pictures, plans of previews."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from styletransfer.errors import OptionError
from styletransfer.options import RuntimeOptions, StylizeOptions


def ask(path: str, application: Any) -> tuple[list[dict[str, Any]], list[BaseException]]:
    """Return the messages that an application behind the access control sends, and the reported errors."""
    from styletransfer.page.access import AccessControl

    sent: list[dict[str, Any]] = []
    reported: list[BaseException] = []
    guarded = AccessControl(
        application,
        names={"localhost"},
        accept_addresses=False,
        token=None,
        open_paths=(),
        report=reported.append,
    )

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b""}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "GET", "path": path, "headers": [(b"host", b"localhost")]}
    asyncio.run(guarded(scope, receive, send))
    return sent, reported


def test_an_unexpected_error_is_reported_here_and_named_there() -> None:
    async def fail(scope: Any, receive: Any, send: Any) -> None:
        raise ZeroDivisionError("a secret")

    sent, reported = ask("/", fail)
    assert sent[0]["status"] == 500
    assert json.loads(sent[1]["body"]) == {"error": "unexpected ZeroDivisionError"}
    assert [type(each) for each in reported] == [ZeroDivisionError]


def test_work_that_the_end_of_the_server_cancels_is_answered() -> None:
    async def fail(scope: Any, receive: Any, send: Any) -> None:
        raise asyncio.CancelledError

    sent, reported = ask("/", fail)
    assert sent[0]["status"] == 503
    assert json.loads(sent[1]["body"]) == {"error": "the server ends"}
    assert reported == []


def test_an_error_after_the_first_bytes_sends_nothing_more() -> None:
    async def fail(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise MemoryError

    sent, reported = ask("/", fail)
    assert [message["type"] for message in sent] == ["http.response.start"]
    assert len(reported) == 1


def test_the_least_recently_used_pictures_are_forgotten() -> None:
    from styletransfer.page.memory_cache import MemoryCache

    cache = MemoryCache(10)
    assert cache.put("a", 1, 4)
    assert cache.put("b", 2, 4)
    assert cache.get("a") == 1
    assert cache.put("c", 3, 4)
    assert (cache.get("a"), cache.get("b"), cache.get("c")) == (1, None, 3)
    assert cache.put("a", 5, 10)
    assert (cache.get("a"), cache.get("c")) == (5, None)
    assert not cache.put("d", 6, 11)
    assert cache.get("a") == 5


@pytest.mark.parametrize(
    ("size", "chosen", "most", "edge", "scale", "style_size"),
    [
        (512, None, 384, 384, 1, 1024),  # strokes for 512 pixels, on 384
        (4096, None, 384, 384, 1, 512),  # the full picture paints over a copy of 512
        (4096, None, 1024, 1024, 2, 512),
        (512, 4, 384, 384, 3, 512),
        (300, None, 384, 300, 1, 1024),
    ],
)
def test_previews_have_the_strokes_of_the_full_picture(
    size: int, chosen: int | None, most: int, edge: int, scale: int, style_size: int
) -> None:
    from styletransfer.page.renderer import plan_preview

    options = StylizeOptions(stroke_scale=chosen, refine=40)
    planned, planned_edge = plan_preview(options, size, size // 2, most)
    assert planned_edge == edge
    assert (planned.stroke_scale, planned.style_size, planned.refine) == (scale, style_size, 0)


def test_the_memory_limit_is_divided() -> None:
    from styletransfer.page.server import split_memory

    limited, memory = split_memory(RuntimeOptions(max_memory="2G"))
    assert (limited.max_memory, memory) == ("1824M", 2**28)
    with pytest.raises(OptionError, match="at least --max-memory 512M"):
        split_memory(RuntimeOptions(max_memory="511M"))


def test_new_options_appear_by_themselves() -> None:
    from styletransfer.page.options_form import describe_options, read_options

    described = {each["name"]: each for each in describe_options()}
    assert described["alpha"]["kind"] == "number"
    assert described["size"] | {"help": ""} == {
        "name": "size",
        "kind": "integer",
        "optional": True,
        "choices": [],
        "default": None,
        "help": "",
    }
    assert described["preserve_color"]["choices"][:2] == ["none", "luma"]
    assert repr(read_options({"alpha": 1, "style_weights": [2, 1]}).style_weights) == "(2.0, 1.0)"
