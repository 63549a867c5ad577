"""Who may use the server: requests as other sites and other machines send them."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from .conftest import Inputs, Server


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example", "8.8.8.8", "", "[", "127.0.0.1@a"]
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_other_hosts_are_refused(server: Server, method: str, host: str) -> None:
    for path in ("/", "/settings", "/pictures"):
        answer = server.call(method, path, host=host)
        assert answer.status == 400
        assert answer.json["error"] == "this server has another name"


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:80", "LOCALHOST:1", "[::1]:9"])
def test_own_names_are_accepted(server: Server, host: str) -> None:
    assert server.call("GET", "/", host=host).status == 200


@pytest.mark.parametrize(
    "origin",
    ["http://evil.example", "null", "", "http://127.0.0.1", "http://127.0.0.1:1", "file://", "127.0.0.1"],
)
def test_other_origins_are_refused(server: Server, inputs: Inputs, origin: str) -> None:
    for method, path in (("POST", "/stylize"), ("POST", "/pictures"), ("DELETE", "/renders/1"), ("PUT", "/")):
        assert server.call(method, path, inputs.request, origin=origin).status == 403


@pytest.mark.parametrize("site", ["cross-site", "same-site", "nonsense"])
def test_browsers_say_when_another_site_asks(server: Server, inputs: Inputs, site: str) -> None:
    assert server.call("POST", "/stylize", inputs.request, sec_fetch_site=site).status == 403


def test_the_page_itself_is_accepted(server: Server, inputs: Inputs) -> None:
    origin = f"http://127.0.0.1:{server.port}"
    answer = server.call("POST", "/stylize", inputs.request, origin=origin, sec_fetch_site="same-origin")
    assert answer.status == 200


def test_no_other_site_may_read_answers(server: Server) -> None:
    for method in ("GET", "OPTIONS"):
        answer = server.call(method, "/settings", origin="http://evil.example")
        assert not [name for name in answer.headers if name.startswith("access-control")]
        assert answer.headers["cross-origin-resource-policy"] == "same-origin"
    assert answer.status == 403


def test_every_answer_is_protected(server: Server) -> None:
    for path in ("/", "/settings", "/nothing", "/page.js", "/examples/style/ink.jpg"):
        headers = server.call("GET", path).headers
        assert headers["content-security-policy"].startswith("default-src 'self';")
        assert headers["x-content-type-options"] == "nosniff"
        assert "server" not in headers


@pytest.mark.parametrize(
    "lines", [b"GET / HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n", b"GET / HTTP/1.0\r\n\r\n"]
)
def test_one_host_has_to_be_named(server: Server, lines: bytes) -> None:
    with socket.create_connection(("127.0.0.1", server.port)) as client:
        client.sendall(lines)
        assert client.recv(100).split()[1] == b"400"


@pytest.fixture(scope="module")
def shared(model: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that other machines reach."""
    words = ("--host", "0.0.0.0", "--model", model, "--allowed-hosts", "pictures.example")
    started = Server(tmp_path_factory.mktemp("shared"), *words)
    yield started
    started.stop()
    started.check_traces()


def test_other_machines_need_the_token(shared: Server) -> None:
    token = shared.url.partition("#token=")[2]
    assert len(token) >= 32
    assert shared.call("GET", "/").status == shared.call("GET", "/page.js").status == 200  # they hold nothing
    for wrong in ({}, {"authorization": f"Bearer {token}x"}, {"authorization": "Bearer \xff"}):
        for method, path in (("GET", "/settings"), ("POST", "/pictures"), ("GET", "/renders/1")):
            answer = shared.call(method, path, **wrong)
            assert answer.status == 401
            assert token not in answer.body.decode()
    assert shared.call("GET", f"/settings?token={token}").status == 401  # would be logged and shared
    assert shared.call("GET", "/settings", authorization=f"Bearer {token}").status == 200


def test_other_machines_use_addresses_and_known_names(shared: Server) -> None:
    for host in ("192.0.2.7:8000", "[2001:db8::1]", "pictures.example", socket.gethostname()):
        assert shared.call("GET", "/", host=host).status == 200
    assert shared.call("GET", "/", host="evil.example").status == 400


def test_the_token_can_be_chosen_for_this_machine_too(model: str, tmp_path: Path) -> None:
    server = Server(tmp_path, "--model", model, "--token", "a-secret-of-16-or-more")
    try:
        assert server.url.endswith("/#token=a-secret-of-16-or-more")
        assert server.call("GET", "/settings").status == 401
    finally:
        server.stop()
