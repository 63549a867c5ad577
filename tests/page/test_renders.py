"""Full results and previews: the same bytes as the command line's, side by side, canceled, drained."""

from __future__ import annotations

import contextlib
import json
import shlex
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from cli.pictures import make_picture, write_content
from click.testing import CliRunner
from PIL import ExifTags, Image

from styletransfer.cli import program
from styletransfer.media import read_picture, write_picture

from .conftest import Answer, Inputs, Server, wait_until

LONG = {"size": 5000}  # takes seconds, even with the small model


class Background(threading.Thread):
    """A request that is waited for later."""

    def __init__(self, server: Server, body: dict[str, Any]) -> None:
        super().__init__(daemon=True)
        self._server, self._body = server, body
        self.answer: Answer | None = None
        self.start()

    def run(self) -> None:
        self.answer = self._server.call("POST", "/stylize", self._body)

    def wait(self) -> Answer:
        self.join(60)
        assert self.answer is not None
        return self.answer


def state_of(server: Server, name: str) -> str:
    answer = server.call("GET", f"/renders/{name}")
    assert answer.status == 200
    return str(answer.json["state"])


def is_running(server: Server, name: str) -> bool:
    return bool(server.call("GET", f"/renders/{name}").json["progress"] > 0)


def run_command(command: str, folder: Path) -> bytes:
    """Run a command line of the API in a folder and return the bytes of its result."""
    name, *words = shlex.split(command)
    assert name == "styletransfer"
    with contextlib.chdir(folder):
        done = CliRunner().invoke(program, words, env={"XDG_CONFIG_HOME": str(folder)})
        assert done.exit_code == 0, done.stderr
        return Path(done.stdout.strip()).read_bytes()


def write_photo(path: Path) -> Path:
    """Write a picture with EXIF data and pixels per inch."""
    write_content(path, (50, 40))
    with Image.open(path) as image:
        exif = image.getexif()
        exif[ExifTags.Base.Model] = "Camera 1"
        exif[ExifTags.Base.Orientation] = 6
        image.save(path, exif=exif, dpi=(150, 150), quality=90)
    return path


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({}, id="png"),
        pytest.param({"format": "tiff", "bit_depth": 16, "options": {"alpha": 0.5}}, id="tiff"),
        pytest.param({"format": "jpeg", "quality": 80, "blend": True, "mask": True}, id="jpeg"),
        pytest.param(
            {"format": "webp", "blend": True, "options": {"style_weights": [2, 1], "stroke_scale": 2}},
            id="webp",
        ),
    ],
)
def test_results_are_those_of_the_command_line(
    server: Server, inputs: Inputs, changes: dict[str, Any]
) -> None:
    folder = inputs.content.parent
    photo = write_photo(folder / "a photo.jpg")
    body: dict[str, Any] = {**inputs.request, "content": server.upload(photo), **changes}
    if body.pop("blend", False):
        body["styles"] = [server.upload(inputs.style), server.upload(inputs.other)]
    if body.pop("mask", False):
        body["masks"] = [server.upload(write_content(folder / "mask.png", (30, 30), seed=7))]
    answer = server.call("POST", "/stylize", body)
    assert answer.status == 200, answer
    command = server.call("POST", "/command", body).json["command"]
    assert answer.body == run_command(command, folder)
    assert server.call("POST", "/stylize", body).body == answer.body  # from memory
    (folder / "result").write_bytes(answer.body)
    with Image.open(folder / "result") as image:
        assert image.getexif()[ExifTags.Base.Model] == "Camera 1"
        assert image.info["icc_profile"]
        assert image.size == (40, 50)  # upright


def test_one_mask_per_style(server: Server, inputs: Inputs) -> None:
    folder = inputs.content.parent
    masks = []
    for name, colors in (("left.png", (255, 0)), ("right.png", (0, 255))):
        mask = Image.new("L", (2, 1))
        mask.putdata(colors)
        mask.resize((60, 40), Image.Resampling.NEAREST).save(folder / name)
        masks.append(server.upload(folder / name))
    styles = [server.upload(inputs.style), server.upload(inputs.other)]
    body = {**inputs.request, "styles": styles, "masks": masks}
    command = server.call("POST", "/command", body).json["command"]
    assert command.startswith(
        "styletransfer stylize cat.png waves.png dots.png --mask left.png --mask right.png"
    )
    assert server.call("POST", "/stylize", {**body, "preview": True}).status == 200
    assert server.call("POST", "/stylize", {**body, "options": {"style_weights": [1, 1]}}).status == 400


def test_previews_are_small_and_keep_transparency(server: Server, inputs: Inputs) -> None:
    path = inputs.content.parent / "large.png"
    write_picture(make_picture((600, 300), alpha=True), path)
    body = {**inputs.request, "content": server.upload(path), "preview": True}
    for preview, width in ((True, 384), (500, 500), (1000, 600)):
        answer = server.call("POST", "/stylize", {**body, "preview": preview})
        assert answer.headers["content-type"] == "image/webp"
        path.with_suffix(".webp").write_bytes(answer.body)
        picture = read_picture(path.with_suffix(".webp"))
        assert (picture.width, picture.height) == (width, width // 2)
        assert picture.alpha is not None


def test_previews_do_not_wait_for_full_results(server: Server, inputs: Inputs) -> None:
    render = Background(server, {**inputs.request, "options": LONG, "render": "long"})
    wait_until(lambda: is_running(server, "long"))
    seconds = []
    for index in range(30):
        start = time.monotonic()
        options = {"alpha": index / 100}
        assert (
            server.call("POST", "/stylize", {**inputs.request, "preview": True, "options": options}).status
            == 200
        )
        seconds.append(time.monotonic() - start)
        if index == 4:
            assert state_of(server, "long") == "running"  # meanwhile
    assert sorted(seconds)[28] < 1
    assert server.call("DELETE", "/renders/long").status == 204
    assert render.wait().status == 409


def test_progress_rises_and_a_render_can_be_canceled(server: Server, inputs: Inputs) -> None:
    render = Background(server, {**inputs.request, "options": {"size": 5001}, "render": "rising"})
    shares: list[float] = []
    left: list[float | None] = []
    while len(set(shares)) < 4:
        answer = server.call("GET", "/renders/rising")
        if answer.json["state"] != "unknown":
            shares.append(answer.json["progress"])
            assert answer.json["state"] == "running" or not shares[-1]
            left.append(answer.json["seconds_left"])
    assert shares == sorted(shares)
    assert left[0] is None
    assert 0 < (left[-1] or 0) < 60
    assert server.call("POST", "/stylize", {**inputs.request, "render": "rising"}).status == 409
    assert server.call("DELETE", "/renders/rising").status == 204
    assert render.wait().status == 409
    assert render.wait().json == {"error": "the work was canceled"}
    assert state_of(server, "rising") == "unknown"
    assert server.call("DELETE", "/renders/rising").status == 204  # as often as you like
    start = time.monotonic()
    assert server.call("POST", "/stylize", inputs.request).status == 200  # the thread is free again
    assert time.monotonic() - start < 3


def test_a_render_ends_when_its_client_hangs_up(server: Server, inputs: Inputs) -> None:
    connection = server.connect()
    body = {**inputs.request, "options": {"size": 5002}, "render": "left"}
    connection.request("POST", "/stylize", json.dumps(body))
    wait_until(lambda: is_running(server, "left"))
    connection.close()
    wait_until(lambda: state_of(server, "left") == "unknown", 3)


def test_the_queue_is_limited(server: Server, inputs: Inputs) -> None:
    renders = [
        Background(server, {**inputs.request, "options": {"size": 5010 + index}, "render": f"queued-{index}"})
        for index in range(8)
    ]
    wait_until(lambda: all(state_of(server, f"queued-{i}") != "unknown" for i in range(8)))
    answer = server.call("POST", "/stylize", inputs.request)
    assert (answer.status, answer.headers["retry-after"]) == (503, "1")
    assert server.call("POST", "/stylize", {**inputs.request, "preview": True}).status == 200
    for index in range(8):
        server.call("DELETE", f"/renders/queued-{index}")
    assert {each.wait().status for each in renders} == {409}


def test_memory_comes_back(server: Server, inputs: Inputs) -> None:
    body = {**inputs.request, "preview": True}
    server.call("POST", "/stylize", body)
    before = server.memory()
    for index in range(150):
        assert server.call("POST", "/stylize", {**body, "options": {"alpha": index / 200}}).status == 200
    assert server.memory() - before < 50 * 2**20


def test_what_is_in_the_making_is_finished_when_the_server_ends(
    model: str, inputs: Inputs, tmp_path: Path
) -> None:
    server = Server(tmp_path / "server", "--model", model)
    server.upload(inputs.content)
    server.upload(inputs.style)
    render = Background(server, {**inputs.request, "options": {"size": 2000}, "render": "last"})
    wait_until(lambda: is_running(server, "last"))
    assert server.stop() == 143
    assert render.wait().status == 200
    server.check_traces()


def test_memory_is_bounded(model: str, inputs: Inputs, tmp_path: Path) -> None:
    """Uploads and results push out older ones, and the client is told."""
    server = Server(tmp_path / "server", "--model", model, "--max-memory", "512M", "--max-upload", "20M")
    try:
        server.upload(inputs.style)
        first = server.upload(inputs.content)
        before = server.memory()
        for seed in range(4):
            path = inputs.content.parent / f"{seed}.ppm"
            path.write_bytes(b"P6 2600 2500 255\n" + bytes([seed]) * (2600 * 2500 * 3))
            server.upload(path)
        assert server.memory() - before < 512 * 2**20
        answer = server.call("POST", "/stylize", {**inputs.request, "content": first})
        assert (answer.status, answer.json["picture"]) == (404, first)
    finally:
        server.stop()
    server.check_traces()
