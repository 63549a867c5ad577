"""What clients send: too much, too slowly, too many pixels, nonsense."""

from __future__ import annotations

import contextlib
import http.client
import socket
import struct
import time
import zlib
from pathlib import Path
from typing import Any

import pytest
from cli.pictures import write_content
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from .conftest import Inputs, Server

LIMIT = 4 * 2**20  # of the shared server


def make_png(width: int, height: int) -> bytes:
    """Return a PNG of black pixels, gray, whose size is a thousandth of what it becomes."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    compressor = zlib.compressobj(9)
    rows = [compressor.compress(bytes((width + 1) * 100)) for _ in range(height // 100)]
    pixels = b"".join(rows) + compressor.flush()
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def test_a_picture_is_described(server: Server, tmp_path: Path) -> None:
    data = write_content(tmp_path / "cat.png", (60, 40)).read_bytes()
    answer = server.call("POST", "/pictures?name=../../etc/%63at%00.png", data)
    facts = {"name": "....etccat.png", "width": 60, "height": 40, "has_alpha": False, "animated": False}
    assert answer.status == 201
    assert answer.json.items() >= facts.items()
    shown = server.call("GET", f"/pictures/{answer.json['id']}?size=20")
    assert shown.headers["content-type"] == "image/jpeg"
    assert server.call("POST", "/pictures?name=....etccat.png", data).json == answer.json


def test_a_body_that_is_announced_too_large_is_not_read(server: Server) -> None:
    with socket.create_connection(("127.0.0.1", server.port)) as client:
        client.sendall(
            f"POST /pictures HTTP/1.1\r\nHost: localhost\r\nContent-Length: {60 << 20}\r\n\r\n".encode()
        )
        assert client.recv(1000).split()[1] == b"413"


def test_a_body_is_counted_while_it_arrives(server: Server) -> None:
    before = server.memory()
    sent = 0
    with socket.create_connection(("127.0.0.1", server.port)) as client:
        client.sendall(b"POST /pictures HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n")
        with contextlib.suppress(ConnectionError):
            for _ in range(60):
                client.sendall(b"100000\r\n" + bytes(2**20) + b"\r\n")
                sent += 2**20
        with contextlib.suppress(ConnectionError):
            assert client.recv(1000).split()[1] == b"413"
    assert sent < 30 * 2**20  # the server hung up
    assert server.memory() - before < 50 * 2**20


def test_500_megapixels_in_a_small_file_are_not_decoded(server: Server) -> None:
    data = make_png(25_000, 20_000)
    assert len(data) < 2**20
    before = server.memory()
    answer = server.call("POST", "/pictures?name=bomb.png", data)
    assert answer.status == 422
    assert "bomb.png" in answer.json["error"]
    assert "pixels" in answer.json["error"]
    assert server.memory() - before < 50 * 2**20


@pytest.mark.parametrize(
    "data", [b"", b"nothing", b"\x89PNG\r\n\x1a\n", b"%PDF-1.4", make_png(100, 100)[:-30]]
)
def test_what_is_no_picture_is_explained(server: Server, data: bytes) -> None:
    answer = server.call("POST", "/pictures?name=cat.png", data)
    assert answer.status == 422
    assert answer.json["error"].startswith("cat.png")


def test_slow_clients_keep_nobody_waiting(server: Server, inputs: Inputs) -> None:
    before = server.memory()
    with contextlib.ExitStack() as stack:
        for index in range(200):
            client = stack.enter_context(socket.create_connection(("127.0.0.1", server.port)))
            head = b"POST /pictures HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4000000\r\n\r\n"
            client.sendall(head[:20] if index % 2 else head + bytes(1000))
        start = time.monotonic()
        assert server.call("POST", "/stylize", {**inputs.request, "preview": True}).status == 200
        assert time.monotonic() - start < 5
        assert server.memory() - before < 50 * 2**20
    assert server.call("GET", "/settings").status == 200


def test_bodies_on_their_way_share_memory(server: Server) -> None:
    head = f"POST /pictures HTTP/1.1\r\nHost: localhost\r\nContent-Length: {LIMIT}\r\n\r\n".encode()
    with contextlib.ExitStack() as stack:
        clients = [
            stack.enter_context(socket.create_connection(("127.0.0.1", server.port), timeout=20))
            for _ in range(5)
        ]
        for client in clients[:4]:
            client.sendall(head + bytes(LIMIT - 1))
        time.sleep(0.5)
        clients[4].sendall(head + bytes(2**20))
        assert clients[4].recv(1000).split()[1] == b"503"
    assert server.call("POST", "/pictures", b"no picture").status == 422


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=10,
)
MEMBERS = st.sampled_from(
    ["content", "styles", "masks", "options", "preview", "format", "bit_depth", "quality", "render"]
)
OPTIONS = st.dictionaries(
    st.sampled_from(["alpha", "match", "size", "stroke_scale", "style_weights", "refine", "transform"]), JSON
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=st.dictionaries(MEMBERS, JSON) | JSON, options=st.none() | OPTIONS)
def test_malformed_bodies_are_refused(server: Server, inputs: Inputs, body: Any, options: Any) -> None:
    """Whatever a body holds, the answer is JSON that explains it, or a picture."""
    if isinstance(body, dict) and options is not None:
        body = {**inputs.request, **body, "options": options}
    answer = server.call("POST", "/command", body if isinstance(body, dict) else repr(body).encode())
    assert answer.status in {200, 400, 404, 422}
    assert set(answer.json) <= {"command", "error", "hint", "picture"}


@pytest.mark.parametrize(
    "body", [b"", b"{", b"\xff\xfe", b"[" * 60_000, b"1" * 60_000, b'{"content": ' + b"1" * 5000 + b"}"]
)
def test_what_is_no_json_is_refused(server: Server, body: bytes) -> None:
    answer = server.call("POST", "/stylize", body)
    assert answer.status == 400
    assert answer.json["error"].startswith(("the body is not", "content is"))


@pytest.mark.parametrize(
    "lines",
    [b"\x16\x03\x01\x02\x00\x01", b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"GET /" + b"a" * 200_000],
)
def test_what_is_no_http_is_refused(server: Server, lines: bytes) -> None:
    client = socket.create_connection(("127.0.0.1", server.port), timeout=20)
    with client, contextlib.suppress(OSError):
        client.sendall(lines)
        client.shutdown(socket.SHUT_WR)
        assert client.recv(1000)[:12] in {b"", b"HTTP/1.1 400"}
    assert server.call("GET", "/").status == 200


@pytest.mark.parametrize(
    ("member", "value", "status"),
    [
        ("content", "unknown", 404),
        ("styles", [], 400),
        ("styles", ["unknown"], 404),
        ("masks", ["alpha"], 400),
        ("masks", ["unknown"], 404),
        ("options", {"alpha": 2}, 400),
        ("options", {"color": 1}, 400),
        ("options", {"size": 50_000}, 400),
        ("options", {"style_weights": [1, 2]}, 400),
        ("format", "gif", 400),
        ("bit_depth", 12, 400),
        ("preview", 2000, 400),
        ("url", "http://example.com/cat.jpg", 400),
    ],
)
def test_what_cannot_be_made_is_explained(
    server: Server, inputs: Inputs, member: str, value: Any, status: int
) -> None:
    answer = server.call("POST", "/stylize", {**inputs.request, member: value})
    assert answer.status == status
    assert answer.json["error"]


def test_unknown_addresses_and_methods_are_json_too(server: Server) -> None:
    for method, path, status in (
        ("GET", "/nothing", 404),
        ("GET", "/../settings", 404),
        ("GET", "/stylize", 405),
        ("POST", "/renders/1", 405),
        ("GET", "/pictures/1?size=-3", 400),
    ):
        answer = server.call(method, path)
        assert answer.status == status
        assert answer.json["error"]


def test_a_client_that_hangs_up_is_no_news(server: Server) -> None:
    client = http.client.HTTPConnection("127.0.0.1", server.port)
    client.putrequest("POST", "/pictures")
    client.putheader("Content-Length", "1000")
    client.endheaders(b"few bytes")
    client.close()
    assert server.call("GET", "/").status == 200
