"""`stylize` in this process, with real files and a small model."""

from __future__ import annotations

import json
import weakref
from pathlib import Path
from typing import Any

import pytest
import torch

from styletransfer.api import Stylizer
from styletransfer.errors import MemoryLimitError
from styletransfer.media import Picture, picture_from_pil, read_picture, write_picture
from styletransfer.style_measurer import StyleMeasurer

from .conftest import Run
from .pictures import make_picture, read_info, read_size, write_content


def read_bytes(*names: str) -> list[bytes]:
    return [Path(name).read_bytes() for name in names]


@pytest.mark.usefixtures("content", "style")
class TestOneResult:
    def test_stdout_is_the_path_and_stderr_names_model_and_device_once(self, run: Run, model: str) -> None:
        result = run("stylize", "cat.png", "waves.png", "--device", "cpu", "--precision", "fp32")
        assert (result.exit_code, result.stdout) == (0, "cat_waves.png\n")
        assert result.stderr == f"model {model} on cpu, fp32\n"
        assert read_size("cat_waves.png") == (24, 16)

    def test_the_picture_is_the_one_of_the_python_interface(self, run: Run, model: str) -> None:
        run(
            "stylize", "cat.png", "waves.png", "-a", "0.7", "--transform", "adain", "--preserve-color", "luma"
        )
        picture = Stylizer(model).stylize(
            "cat.png", "waves.png", alpha=0.7, transform="adain", preserve_color="luma"
        )
        assert picture_from_pil(picture).pixels.equal(read_picture("cat_waves.png").pixels)

    def test_the_same_command_gives_the_same_bytes(self, run: Run) -> None:
        for name in ("1.png", "2.png"):
            run("stylize", "cat.png", "waves.png", "-o", name)
        first, second = read_bytes("1.png", "2.png")
        assert first == second

    def test_quiet_says_nothing_else(self, run: Run) -> None:
        result = run("stylize", "cat.png", "waves.png", "-q")
        assert (result.stdout, result.stderr) == ("cat_waves.png\n", "")

    def test_verbose_says_how_long_it_took(self, run: Run) -> None:
        assert "24x16 pixels in " in run("stylize", "cat.png", "waves.png", "-v").stderr

    def test_json(self, run: Run, model: str) -> None:
        result = run(
            "stylize", "cat.png", "waves.png", "--json", "--size", "12", "-a", "0.5", "--device", "cpu"
        )
        record = json.loads(result.stdout)
        assert record.pop("seconds") > 0
        assert record == {
            "content": "cat.png",
            "styles": ["waves.png"],
            "output": "cat_waves.png",
            "width": 12,
            "height": 8,
            "alpha": 0.5,
            "model": model,
            "device": "cpu",
        }

    def test_settings_are_recorded_without_folders(self, run: Run, folder: Path, model: str) -> None:
        run("stylize", str(folder / "cat.png"), "waves.png", "-a", "0.25", "--size", "10")
        recorded = read_info("cat_waves.png")
        assert recorded["alpha"] == "0.25"
        assert recorded["size"] == "10"
        assert recorded["content"] == "cat.png"
        assert recorded["styles"] == "waves.png"
        assert recorded["model"] == Path(model).name
        assert len(recorded["model_sha256"]) == 64
        assert str(folder) not in str(recorded)

    def test_no_metadata(self, run: Run) -> None:
        run("stylize", "cat.png", "waves.png", "--no-metadata")
        assert not {"alpha", "model", "styletransfer"} & set(read_info("cat_waves.png"))

    def test_bit_depth_and_quality(self, run: Run) -> None:
        run("stylize", "cat.png", "waves.png", "--bit-depth", "16", "-o", "deep.png")
        assert read_picture("deep.png").bit_depth == 16
        for quality in ("20", "100"):
            run("stylize", "cat.png", "waves.png", "--quality", quality, "-o", f"{quality}.jpg")
        assert Path("20.jpg").stat().st_size < Path("100.jpg").stat().st_size

    def test_style_size_changes_the_strokes(self, run: Run) -> None:
        run("stylize", "cat.png", "waves.png", "-o", "full.png")
        run("stylize", "cat.png", "waves.png", "-o", "small.png", "--style-size", "8", "--no-metadata")
        assert not read_picture("full.png").pixels.equal(read_picture("small.png").pixels)

    def test_strokes_suit_the_size_of_each_content(self, run: Run) -> None:
        write_content(Path("photos/large.png"), (1024, 256))
        write_content(Path("photos/small.png"), (64, 8))
        run("stylize", "photos", "waves.png", "-o", "{content}.png")
        scales = {name: read_info(f"{name}.png")["stroke_scale"] for name in ("large", "small")}
        assert scales == {"large": "2", "small": "1"}
        run(
            "stylize",
            "photos/large.png",
            "waves.png",
            "--stroke-scale",
            "2",
            "--style-size",
            "512",
            "-o",
            "2.png",
        )
        assert Path("2.png").read_bytes() == Path("large.png").read_bytes()

    def test_standard_input_and_output(self, run: Run) -> None:
        run("stylize", "cat.png", "waves.png", "--no-metadata")
        data = Path("cat.png").read_bytes()
        result = run("stylize", "-", "waves.png", "-o", "-", "--no-metadata", input=data)
        assert result.exit_code == 0
        assert result.stdout_bytes == Path("cat_waves.png").read_bytes()

    @pytest.mark.parametrize("damaged", ["cat.png", "waves.png"])
    @pytest.mark.parametrize("size", [0, 20, 300])
    def test_a_damaged_picture_is_one_line_and_exit_1(self, run: Run, damaged: str, size: int) -> None:
        Path(damaged).write_bytes(Path(damaged).read_bytes()[:size])
        result = run("stylize", "cat.png", "waves.png", "-q")
        assert (result.exit_code, result.stdout) == (1, "")
        (line,) = result.stderr.splitlines()
        assert line.startswith(f"error: {damaged}: ")
        assert not Path("cat_waves.png").exists()

    def test_standard_input_that_is_no_picture(self, run: Run) -> None:
        result = run("stylize", "-", "waves.png", "-q", input=b"no picture")
        assert result.exit_code == 1
        assert result.stderr.startswith("error: <stdin>: ")

    def test_dry_run_plans_and_does_nothing(self, run: Run, folder: Path) -> None:
        before = sorted(folder.iterdir())
        result = run("stylize", "cat.png", "waves.png", "-n", "-m", "absent.safetensors", "-o", "new/")
        assert (result.exit_code, result.stdout) == (0, "cat.png + waves.png -> new/cat_waves.png\n")
        record = json.loads(run("stylize", "cat.png", "waves.png", "-n", "--json").stdout)
        assert record == {"content": "cat.png", "styles": ["waves.png"], "output": "cat_waves.png"}
        assert sorted(folder.iterdir()) == before

    @pytest.mark.parametrize(
        ("words", "code", "problem"),
        [
            (["-o", "x.xyz"], 2, "the picture format '.xyz' is unknown"),
            (["-o", "noextension"], 2, "noextension"),
            (["-o", "x.jpg", "--bit-depth", "16"], 2, "JPEG cannot hold 16 bits"),
            (["-o", "{contnet}.png"], 2, "unknown field {contnet}"),
            (["-o", "cat.png", "-f"], 2, "cat.png is an input"),
            (["-o", "waves.png", "-f"], 2, "waves.png is an input"),
            (["-o", "cat.png/x.png"], 1, "cat.png is not a folder"),
            (["-o", "-", "--json"], 2, "both write to standard output"),
            (["--style-weights", "2,1"], 2, "2 style weights for 1 styles"),
            (["waves.png"], 2, "2 results would all be written to cat_waves.png"),
            (["-"], 2, "a STYLE cannot be -"),
            (["absent.png"], 2, "absent.png: no such file"),
        ],
    )
    def test_all_is_checked_before_the_model_is_loaded(
        self, run: Run, folder: Path, words: list[str], code: int, problem: str
    ) -> None:
        before = sorted(folder.iterdir())
        result = run("stylize", "cat.png", "waves.png", *words, "-m", "absent.safetensors")
        assert result.exit_code == code
        assert result.stdout == ""
        (line,) = result.stderr.splitlines()
        assert problem in line
        assert sorted(folder.iterdir()) == before


class TestSeveralStyles:
    @pytest.fixture(autouse=True)
    def _pictures(self, content: Path, style: Path) -> None:
        write_content(Path("art/ink.png"), (20, 20), seed=2)

    def test_all_pairs(self, run: Run) -> None:
        result = run("stylize", "cat.png", "waves.png", "art/ink.png")
        assert result.stdout == "cat_waves.png\ncat_ink.png\n"
        waves, ink = read_bytes("cat_waves.png", "cat_ink.png")
        assert waves != ink

    def test_a_folder_of_styles(self, run: Run) -> None:
        assert run("stylize", "cat.png", "art").stdout == "cat_ink.png\n"

    def test_weights_blend_them_into_one(self, run: Run) -> None:
        result = run("stylize", "cat.png", "waves.png", "art/ink.png", "--style-weights", "2,1")
        assert result.stdout == "cat_waves+ink.png\n"
        run("stylize", "cat.png", "waves.png", "art/ink.png")
        blend, waves, ink = map(read_picture, ("cat_waves+ink.png", "cat_waves.png", "cat_ink.png"))
        assert not blend.pixels.equal(waves.pixels)
        assert not blend.pixels.equal(ink.pixels)

    def test_a_weight_of_zero_leaves_a_style_out(self, run: Run) -> None:
        run("stylize", "cat.png", "waves.png", "-o", "alone.png", "--no-metadata")
        blend = ["waves.png", "art/ink.png", "--style-weights", "1,0"]
        run("stylize", "cat.png", *blend, "-o", "blend.png", "--no-metadata")
        alone, blended = read_bytes("alone.png", "blend.png")
        assert alone == blended


def test_memory_exhausted_by_a_style_names_the_style_and_is_tried_once(
    run: Run, style: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("in/1.png", "in/2.png"):
        write_content(Path(name), (8, 8))
    tried = []

    def exhaust_memory(*words: object, **options: object) -> None:
        tried.append(words)
        torch.empty(2**60, dtype=torch.uint8)

    monkeypatch.setattr(StyleMeasurer, "_measure_scales", exhaust_memory)
    result = run("stylize", "in", "waves.png", "-o", "out/", "-q")
    assert len(tried) == 1
    failure, summary = result.stderr.splitlines()
    assert failure.startswith("error: waves.png: out of memory while this style is measured; ")
    assert "--style-size" in failure
    assert failure.endswith("(2 results)")
    assert summary == "error: 2 of 2 results failed"
    alone = run("stylize", "in/1.png", "waves.png", "-q")
    assert alone.exit_code == MemoryLimitError.exit_code


@pytest.mark.usefixtures("content")
def test_contents_are_let_go_of_where_the_style_is_broken(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error is kept for the end, and its traceback would keep what its frames hold."""
    contents: list[weakref.ref[Picture]] = []
    alive = []

    def read(source: Path) -> Picture:
        alive.append(sum(content() is not None for content in contents))
        picture = read_picture(source)
        contents.append(weakref.ref(picture))
        return picture

    monkeypatch.setattr("styletransfer.media.read_picture", read)
    for number in range(5):
        write_content(Path(f"in/{number}.png"), (8, 8))
    Path("broken.png").write_bytes(b"no picture")
    result = run("stylize", "in", "broken.png", "-o", "out/", "--threads", "1")
    assert result.stderr.splitlines()[-1] == "error: 5 of 5 results failed"
    assert max(alive) <= 1


@pytest.mark.usefixtures("content", "style")
def test_a_content_is_freed_before_its_last_result_is_written(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    contents: list[weakref.ref[Picture]] = []
    alive = []

    def read(source: Path) -> Picture:
        picture = read_picture(source)
        contents.append(weakref.ref(picture))
        return picture

    def write(picture: Picture, *words: Any, **options: Any) -> None:
        alive.append(contents[0]() is not None)
        write_picture(picture, *words, **options)

    monkeypatch.setattr("styletransfer.media.read_picture", read)
    monkeypatch.setattr("styletransfer.media.write_picture", write)
    write_content(Path("ink.png"), (8, 8))
    assert run("stylize", "cat.png", "waves.png", "ink.png").exit_code == 0
    assert len(contents) == 1
    assert alive == [True, False]


def test_alpha_is_kept(run: Run, style: Path) -> None:
    picture = make_picture((9, 7), alpha=True)
    write_picture(picture, "glass.png")
    run("stylize", "glass.png", "waves.png")
    result = read_picture("glass_waves.png")
    assert picture.alpha is not None
    assert result.alpha is not None
    assert result.alpha.equal(picture.alpha)
