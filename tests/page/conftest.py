"""Real servers as processes of their own, and a client without conveniences."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import pytest
from cli.conftest import save_untrained_model
from cli.pictures import write_content

import styletransfer

PACKAGE_PARENT = Path(styletransfer.__file__).parents[1]


class Answer(NamedTuple):
    """A response."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Server:
    """A running `styletransfer serve` with an empty working folder and an empty one for temporary files.

    Args:
        folder: An empty folder.
        words: Further words of the command line.
    """

    def __init__(self, folder: Path, *words: str) -> None:
        self.work, self.temporary = folder / "work", folder / "temporary"
        for each in (self.work, self.temporary):
            each.mkdir(parents=True)
        paths = [str(PACKAGE_PARENT), *filter(None, [os.environ.get("PYTHONPATH")])]
        environment = {key: value for key, value in os.environ.items() if "STYLETRANSFER" not in key}
        environment |= {"PYTHONPATH": os.pathsep.join(paths), "TMPDIR": str(self.temporary)}
        environment |= {"HOME": str(self.work), "XDG_CONFIG_HOME": str(self.work)}
        self.errors = folder / "errors.txt"
        with self.errors.open("wb") as errors:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "styletransfer", "serve", "--port", "0", "--threads", "1", *words],
                cwd=self.work,
                env=environment,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )
        assert self.process.stdout is not None
        self.url = self.process.stdout.readline().strip()
        assert self.url, self.errors.read_text()
        self.port = int(self.url.rpartition(":")[2].partition("/")[0])

    def connect(self, timeout: float = 60) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)

    def call(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        """Send a request; a dictionary becomes JSON. Underscores in the names of headers become dashes."""
        data = json.dumps(body) if isinstance(body, dict) else body
        connection = self.connect()
        try:
            names = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, path, data, names)
            response = connection.getresponse()
            found = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, found, response.read())
        finally:
            connection.close()

    def upload(self, path: Path) -> str:
        answer = self.call("POST", f"/pictures?name={quote(path.name)}", path.read_bytes())
        assert answer.status == 201, answer
        return str(answer.json["id"])

    def memory(self) -> int:
        """Return the bytes that the process occupies."""
        status = Path(f"/proc/{self.process.pid}/status").read_text(encoding="utf-8")
        return int(status.split("VmRSS:")[1].split()[0]) * 1024

    def stop(self) -> int:
        """End the process and return its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(60)
        assert self.process.stdout is not None
        self.process.stdout.close()
        return code

    def check_traces(self) -> None:
        """Check that nothing was written but one line about the model, and no file."""
        lines = self.errors.read_text().splitlines()
        assert [line for line in lines if line and not line.startswith("model ")] == []
        assert [*self.work.rglob("*"), *self.temporary.rglob("*")] == []


def wait_until(condition: Any, seconds: float = 30) -> None:
    """Wait for a condition, which is a function."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.fixture(scope="session", autouse=True)
def extra() -> None:
    """Skip all tests of the server where what it needs is not installed."""
    for each in ("starlette", "uvicorn"):
        pytest.importorskip(each, reason="needs the extra `ui`")


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory, extra: None) -> str:
    return save_untrained_model(tmp_path_factory.mktemp("weights") / "small.safetensors", seed=0)


@pytest.fixture(scope="session")
def server(model: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that all tests share; at the end, it has complained of nothing and has left no file."""
    started = Server(tmp_path_factory.mktemp("server"), "--model", model, "--max-upload", "4M")
    yield started
    started.stop()
    started.check_traces()


class Inputs(NamedTuple):
    """Files, and their ids on the server."""

    content: Path
    style: Path
    other: Path
    request: dict[str, Any]


@pytest.fixture
def inputs(server: Server, tmp_path: Path) -> Inputs:
    """Write a content and two styles, upload them, and ask for a picture."""
    content = write_content(tmp_path / "in/cat.png", (60, 40))
    style = write_content(tmp_path / "in/waves.png", (32, 32), seed=1)
    other = write_content(tmp_path / "in/dots.png", (32, 24), seed=2)
    request = {"content": server.upload(content), "styles": [server.upload(style)]}
    server.upload(other)
    return Inputs(content, style, other, request)
