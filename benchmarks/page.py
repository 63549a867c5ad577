"""Time of previews, alone and beside a full render, and memory of the server: `python -m benchmarks.page`."""

from __future__ import annotations

import argparse
import http.client
import json
import subprocess
import sys
import threading
import time
from pathlib import Path
from statistics import median
from typing import Any

EXAMPLES = Path(__file__).parents[1] / "styletransfer" / "page" / "examples"


class Client:
    """A running server with the example pictures.

    Args:
        words: Options of the server.
    """

    def __init__(self, words: list[str]) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "styletransfer", "serve", "--port", "0", "-q", *words],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        self.port = int(self.process.stdout.readline().strip().rstrip("/").rpartition(":")[2])
        self.content = self.upload(EXAMPLES / "content" / "china.jpg")
        self.styles = [self.upload(EXAMPLES / "style" / f"{name}.jpg") for name in ("ink", "mosaic", "knife")]

    def call(self, method: str, path: str, body: bytes | None = None) -> bytes:
        connection = http.client.HTTPConnection("127.0.0.1", self.port)
        connection.request(method, path, body)
        data = connection.getresponse().read()
        connection.close()
        return data

    def upload(self, path: Path) -> str:
        answer = json.loads(self.call("POST", f"/pictures?name={path.name}", path.read_bytes()))
        return str(answer["id"])

    def stylize(self, styles: int, **members: Any) -> float:
        """Return the seconds that a request takes."""
        body = {"content": self.content, "styles": self.styles[:styles], **members}
        start = time.perf_counter()
        self.call("POST", "/stylize", json.dumps(body).encode())
        return time.perf_counter() - start

    def preview(self, count: int, styles: int, **options: Any) -> list[float]:
        """Return the seconds of previews at different strengths, sorted, without the first one."""
        self.stylize(styles, preview=True, options=options)
        made = [
            self.stylize(styles, preview=True, options={"alpha": 1 - index / count / 2, **options})
            for index in range(count)
        ]
        return sorted(made)

    def memory(self, kind: str = "VmRSS") -> float:
        """Return the megabytes that the process occupies, or has occupied at most (VmHWM)."""
        status = Path(f"/proc/{self.process.pid}/status").read_text(encoding="utf-8")
        return int(status.split(f"{kind}:")[1].split()[0]) / 1024


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", default="2")
    parser.add_argument("--max-memory", default="auto")
    parser.add_argument("--previews", type=int, default=40)
    arguments = parser.parse_args()
    client = Client(["--threads", arguments.threads, "--max-memory", arguments.max_memory])
    print(f"At the start, the process occupies {client.memory():.0f} MB.")
    count = arguments.previews

    def show(name: str, seconds: list[float]) -> None:
        last = seconds[int(0.95 * len(seconds))]
        print(
            f"| {name} | {1000 * median(seconds):.0f} | {1000 * last:.0f} | {client.memory():.0f} |",
            flush=True,
        )

    try:
        print("| previews | ms, median | ms, 95 % | MB |\n|---|---|---|---|")
        show("full strength", sorted(client.stylize(1, preview=True) for _ in range(count)))
        show("strength moves", client.preview(count, 1))
        show("three styles", client.preview(count, 3))
        show("strokes twice as large", client.preview(count, 1, stroke_scale=2))
        beside = threading.Thread(target=client.stylize, args=(1,), kwargs={"options": {"size": 4000}})
        beside.start()
        seconds: list[float] = []
        while beside.is_alive():
            seconds += client.preview(count, 1)
        show(f"{len(seconds)} beside a full render of 4000 pixels", sorted(seconds))
        print(f"It has occupied {client.memory('VmHWM'):.0f} MB at most.")
    finally:
        client.process.terminate()
        client.process.wait()


if __name__ == "__main__":
    main()
