"""Pictures in an S3 bucket, of a real server whose network fails: one in twenty requests ends in an error."""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from pathlib import Path
from threading import Thread
from urllib.parse import urlsplit

import pytest

from .conftest import CORRUPT, PICTURES, SHARDS, STYLIZE, find_free_port, read_archive, run

pytestmark = pytest.mark.slow

FAIL_EVERY = 20


class FailingProxy(ThreadingHTTPServer):
    """Forwards requests to a server on another port; every twentieth fails, by turns in one of two ways."""

    daemon_threads = True

    def __init__(self, port: int, server_port: int) -> None:
        super().__init__(("127.0.0.1", port), Forwarder)
        self.target = server_port
        self.requests = count(1)
        self.failed = 0


class Forwarder(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def forward(self) -> None:
        assert isinstance(self.server, FailingProxy)
        body = self.read_body()
        number = next(self.server.requests)
        if number % FAIL_EVERY == 0:
            self.server.failed += 1
            if number % (2 * FAIL_EVERY) == 0:
                self.close_connection = True  # without an answer
                return
            self.send_response(503)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        upstream = http.client.HTTPConnection("127.0.0.1", self.server.target, timeout=30)
        upstream.request(self.command, self.path, body, self.choose_headers(len(body)))
        answer = upstream.getresponse()
        data = answer.read()
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in {"transfer-encoding", "connection", "date", "server"}:
                self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)
        upstream.close()

    def read_body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = b""
        while size := int(self.rfile.readline().split(b";")[0], 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass
        return body

    def choose_headers(self, size: int) -> dict[str, str]:
        own = {"transfer-encoding", "content-length", "expect", "connection"}
        kept = {name: value for name, value in self.headers.items() if name.lower() not in own}
        return kept | {"Content-Length": str(size)}

    do_GET = do_PUT = do_HEAD = do_POST = do_DELETE = forward  # noqa: N815

    def log_message(self, format: str, *arguments: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def proxy(cluster: str) -> Iterator[FailingProxy]:
    """Start moto's server and the proxy before it, to which the workers' variables point."""
    pytest.importorskip("moto.server")
    port = find_free_port()
    server = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-p", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        for _ in range(300):
            try:
                request("PUT", port, "/pictures")
                break
            except OSError:
                time.sleep(0.1)
        own_port = urlsplit(os.environ["AWS_ENDPOINT_URL"]).port
        assert own_port is not None
        with FailingProxy(own_port, port) as started:
            Thread(target=started.serve_forever, daemon=True).start()
            yield started
            started.shutdown()
    finally:
        server.terminate()
        server.wait(10)


def request(method: str, port: int, path: str, body: bytes = b"") -> bytes:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request(
        method, path, body, {"Authorization": "AWS4-HMAC-SHA256 Credential=test/1/us-east-1/s3/"}
    )
    answer = connection.getresponse()
    data = answer.read()
    connection.close()
    assert answer.status < 300, data
    return data


def test_a_bucket_gives_the_bytes_of_a_local_run_though_requests_fail(
    inputs: Path, model: str, cluster: str, local_results: Path, proxy: FailingProxy
) -> None:
    for path in (inputs / "photos").iterdir():
        request("PUT", proxy.target, f"/pictures/in/{path.name}", path.read_bytes())
    request("PUT", proxy.target, "/pictures/style/waves.png", (inputs / "waves.png").read_bytes())
    words = [*STYLIZE, "s3://pictures/in", "s3://pictures/style/waves.png", "-m", model, "--json"]
    words += ["-o", "s3://pictures/out/", "--engine", "ray", "--address", cluster, "--workers", "2"]
    done = run(words, inputs)
    assert done.returncode == 1, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line["content"] for line in lines] == [f"s3://pictures/in/p{i:02}.png" for i in range(PICTURES)]
    assert [line.get("output") for line in lines if "error" in line] == [None]
    assert f"error: s3://pictures/in/{CORRUPT}: the picture is damaged" in done.stderr
    for path in local_results.iterdir():
        assert request("GET", proxy.target, f"/pictures/out/{path.name}") == path.read_bytes()
    assert proxy.failed >= 2

    request("DELETE", proxy.target, "/pictures/out/p07_waves.png")
    again = run(words, inputs)
    redone = [json.loads(line)["content"] for line in again.stdout.splitlines()]
    assert redone == [f"s3://pictures/in/{CORRUPT}", "s3://pictures/in/p07.png"]


def test_archives_in_a_bucket_hold_the_bytes_of_a_local_run(
    inputs: Path, model: str, cluster: str, local_results: Path, archives: Path, proxy: FailingProxy
) -> None:
    for path in archives.iterdir():
        request("PUT", proxy.target, f"/pictures/shards/{path.name}", path.read_bytes())
    request("PUT", proxy.target, "/pictures/style/waves.png", (inputs / "waves.png").read_bytes())
    words = [*STYLIZE, "s3://pictures/shards/{0..2}.tar", "s3://pictures/style/waves.png", "--shards"]
    words += ["-o", "s3://pictures/tar/{content}_{style}.png", "-m", model, "--json"]
    done = run([*words, "--engine", "ray", "--address", cluster, "--workers", "2"], inputs)
    assert done.returncode == 1, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line["output"] for line in lines] == [f"s3://pictures/tar/{index}.tar" for index in range(SHARDS)]
    assert sum(line["failed"] for line in lines) == 1
    assert f"/{CORRUPT}: the picture is damaged" in done.stderr

    request("DELETE", proxy.target, "/pictures/tar/1.tar")
    words[5] = "waves.png"  # without Ray styles are files
    again = run([*words, "--threads", "1"], inputs)
    assert [json.loads(line)["output"] for line in again.stdout.splitlines()] == ["s3://pictures/tar/1.tar"]
    assert again.returncode == 1  # what failed in archives that are skipped counts, too
    assert CORRUPT in again.stderr
    assert "made with other settings" not in again.stderr
    made: dict[str, bytes] = {}
    for index in range(SHARDS):
        made |= read_archive(request("GET", proxy.target, f"/pictures/tar/{index}.tar"))
    assert made == {path.name: path.read_bytes() for path in local_results.iterdir()}


@pytest.mark.parametrize(
    ("content", "words", "code", "message"),
    [
        ("s3://pictures/nothing/", ("--engine", "ray"), 2, "s3://pictures/nothing/: no such file"),
        ("s3://pictures/style/waves.png", (), 2, "is not on this machine; add --engine ray"),
    ],
)
def test_what_is_not_there_is_refused(
    inputs: Path, proxy: FailingProxy, content: str, words: tuple[str, ...], code: int, message: str
) -> None:
    request("PUT", proxy.target, "/pictures/style/waves.png", (inputs / "waves.png").read_bytes())
    done = run([*STYLIZE, content, "waves.png", "-o", "x/", *words], inputs)
    assert done.returncode == code
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1
