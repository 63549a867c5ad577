"""The static demo in a browser makes the pictures that onnxruntime makes in Python, from a plain file server.

It needs the package playwright, a Chromium of the system, and onnxruntime-web from npm.
"""

from __future__ import annotations

import functools
import http.server
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from cli.pictures import write_content
from PIL import Image

from styletransfer.options import DEFAULT_MATCH

from .blending import blend_values, join_pieces
from .conftest import Exported, open_graphs

READ_RESULT = """() => {
  const canvas = document.getElementById("after");
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  return [canvas.width, canvas.height, Array.from(data)];
}"""
MOST_COMPRESSED = 7_000_000


class Demo(NamedTuple):
    """The demo on a server of files, with the addresses that were asked for."""

    folder: Path
    url: str


@pytest.fixture(scope="module")
def demo(exported: Exported, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    from docs.build_demo import build_demo, fetch_runtime

    folder = tmp_path_factory.mktemp("demo")
    if shutil.which("npm") is None:
        pytest.skip("needs npm, which fetches onnxruntime-web")
    try:
        package = fetch_runtime(folder)
    except subprocess.CalledProcessError:
        pytest.skip("needs onnxruntime-web, which npm cannot fetch here")
    build_demo(folder / "site", exported.folder, package)

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: Any) -> None:
            """Keep the terminal clean."""

    handler = functools.partial(Handler, directory=str(folder / "site"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield Demo(folder / "site", f"http://127.0.0.1:{server.server_port}/")
        server.shutdown()
        thread.join()


class Page:
    """The open page with what it has said and asked for."""

    def __init__(self, browser: Any, demo: Demo) -> None:
        self.page = browser.new_page()
        self.page.set_default_timeout(180_000)
        self.messages: list[str] = []
        self.addresses: list[str] = []
        self.page.on("console", lambda message: self.messages.append(message.text))
        self.page.on("pageerror", lambda error: self.messages.append(str(error)))
        self.page.on("request", lambda request: self.addresses.append(request.url))
        self.page.goto(demo.url)
        self.page.locator("#download:enabled").wait_for()

    def rest(self) -> None:
        """Wait until the picture of the last settings is shown."""
        self.page.wait_for_timeout(200)
        self.page.locator("body:not([data-busy])").wait_for()

    def choose(self, kind: str, path: Path) -> None:
        self.page.locator(f"#{kind}-file").set_input_files(path)
        self.rest()

    def set(self, name: str, value: float) -> None:
        script = "(each, value) => { each.value = value; each.dispatchEvent(new Event('input')); }"
        self.page.locator(f"#{name}").evaluate(script, value)
        self.rest()

    def result(self) -> Any:
        """Return the pixels [H, W, 3] of the result."""
        width, height, data = self.page.evaluate(READ_RESULT)
        return np.array(data, dtype=float).reshape(height, width, 4)[..., :3]


def read(path: Path) -> Any:
    with Image.open(path) as picture:
        pixels = np.asarray(picture.convert("RGB"), dtype=np.float32) / 255
    return np.ascontiguousarray(pixels.transpose(2, 0, 1))


def test_the_demo_makes_the_pictures_of_python(
    browser: Any, demo: Demo, exported: Exported, tmp_path: Path
) -> None:
    runner = open_graphs(exported.folder)
    content = write_content(tmp_path / "content.png", (121, 90))
    styles = [write_content(tmp_path / f"style{seed}.png", (100, 77 + seed), seed=seed) for seed in (1, 2)]
    own, *values = (runner.measure(read(path)) for path in (content, *styles))

    def difference(style: dict[str, Any], match: float) -> float:
        wanted = runner.stylize(read(content), style, match).transpose(1, 2, 0) * 255
        return float(np.abs(page.result() - wanted).max())

    page = Page(browser, demo)
    page.choose("content", content)
    page.choose("style", styles[0])
    assert difference(values[0], DEFAULT_MATCH) <= 1
    page.set("match", 0)
    assert difference(values[0], 0) <= 1
    page.set("match", 1)
    page.set("alpha", 0.5)
    half = values[0] | blend_values([own, values[0]], [0.5, 0.5])
    assert difference(half, 0.5) <= 1
    page.set("alpha", 1)
    page.page.locator("#blend").click()
    page.choose("style", styles[1])
    page.set("share", 0.75)
    both = blend_values(values, [0.25, 0.75]) | join_pieces(values, [0.25, 0.75])
    assert difference(both, 1) <= 1
    assert page.messages == []
    assert [each for each in page.addresses if not each.startswith((demo.url, "blob:", "data:"))] == []


def test_the_demo_is_small(demo: Demo) -> None:
    from docs.build_demo import measure_download

    assert measure_download(demo.folder)[1] <= MOST_COMPRESSED
