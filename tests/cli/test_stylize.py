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


@pytest.mark.usefixtures("content", "style")
class TestExistingOutputs:
    @pytest.fixture(autouse=True)
    def _result_of_an_earlier_run(self) -> None:
        Path("cat_waves.png").write_text("precious")

    def test_is_an_error_that_leaves_it_alone(self, run: Run) -> None:
        result = run("stylize", "cat.png", "waves.png", "-m", "absent.safetensors")
        assert result.exit_code == 1
        assert result.stderr == "error: cat_waves.png exists already; overwrite with -f or see --if-exists\n"
        assert Path("cat_waves.png").read_text() == "precious"

    def test_skip(self, run: Run) -> None:
        result = run("stylize", "cat.png", "waves.png", "--if-exists", "skip", "-m", "absent.safetensors")
        assert (result.exit_code, result.stdout) == (0, "")
        assert result.stderr == "skipped 1 of 1 results, which exist already\n"

    @pytest.mark.parametrize("words", [["-f"], ["--if-exists", "overwrite"], ["--if-exists", "skip", "-f"]])
    def test_overwrite(self, run: Run, words: list[str]) -> None:
        assert run("stylize", "cat.png", "waves.png", *words).stdout == "cat_waves.png\n"
        assert read_size("cat_waves.png") == (24, 16)

    def test_rename(self, run: Run) -> None:
        assert run("stylize", "cat.png", "waves.png", "--if-exists", "rename").stdout == "cat_waves_1.png\n"
        assert Path("cat_waves.png").read_text() == "precious"


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


class TestFolders:
    @pytest.fixture(autouse=True)
    def _contents(self, style: Path) -> None:
        for number in range(3):
            write_content(Path(f"in/{number}.png"), (16, 12), seed=number)
        Path("in/broken.jpg").write_bytes(b"\xff\xd8\xff no picture")
        Path("in/empty.png").touch()

    def test_failures_are_listed_at_the_end_and_the_rest_is_done(self, run: Run) -> None:
        result = run("stylize", "in", "waves.png", "-o", "out/")
        assert result.exit_code == 1
        assert result.stdout.split() == [f"out/{number}_waves.png" for number in range(3)]
        *_, broken, empty, summary = result.stderr.splitlines()
        assert broken.startswith("error: in/broken.jpg: ")
        assert empty == "error: in/empty.png: the file is empty; copy or download it again"
        assert summary == "error: 2 of 5 results failed"
        assert sorted(path.name for path in Path("out").iterdir()) == [
            "0_waves.png",
            "1_waves.png",
            "2_waves.png",
        ]

    def test_json_has_a_line_for_every_failure(self, run: Run) -> None:
        result = run("stylize", "in", "waves.png", "-o", "out/", "--json")
        records = [json.loads(line) for line in result.stdout.splitlines()]
        failed = [record for record in records if "error" in record]
        assert len(records) == 5
        assert [record["content"] for record in failed] == ["in/broken.jpg", "in/empty.png"]
        keys = {"content", "styles", "width", "height", "alpha", "model", "device", "seconds"}
        for record in records:
            assert set(record) == keys | {"error" if record in failed else "output"}

    def test_two_threads_say_and_write_the_same(self, run: Run) -> None:
        words = ("stylize", "in", "waves.png", "cat.png", "--no-metadata")
        write_content(Path("cat.png"), (24, 16), seed=7)
        one = run(*words, "-o", "one/", "--threads", "1")
        two = run(*words, "-o", "two/", "--threads", "2")
        assert one.exit_code == two.exit_code == 1
        assert one.stdout.replace("one/", "two/") == two.stdout
        assert one.stderr == two.stderr
        for name in one.stdout.split():
            assert Path(name).read_bytes() == Path(name.replace("one/", "two/")).read_bytes()

    def test_fail_fast(self, run: Run) -> None:
        result = run("stylize", "in", "waves.png", "-o", "out/", "--fail-fast")
        assert result.exit_code == 1
        assert result.stderr.splitlines()[-1] == "error: 1 of 5 results failed, 1 not tried"
        assert len(result.stdout.splitlines()) == 3

    def test_the_same_command_does_the_rest(self, run: Run) -> None:
        Path("in/broken.jpg").unlink()
        Path("in/empty.png").unlink()
        run("stylize", "in", "waves.png", "-o", "out/")
        kept = Path("out/0_waves.png").stat().st_mtime_ns
        Path("out/1_waves.png").unlink()
        result = run("stylize", "in", "waves.png", "-o", "out/")
        assert (result.exit_code, result.stdout) == (0, "out/1_waves.png\n")
        assert "skipped 2 of 3 results" in result.stderr
        assert Path("out/0_waves.png").stat().st_mtime_ns == kept

    def test_a_run_in_its_own_folder_does_not_repaint_its_results(
        self, run: Run, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        Path("in/broken.jpg").unlink()
        Path("in/empty.png").unlink()
        monkeypatch.chdir("in")
        assert run("stylize", ".", "../waves.png").stdout.split() == [
            f"{number}_waves.png" for number in range(3)
        ]
        write_content(Path("../ink.png"), (9, 9))
        result = run("stylize", ".", "../waves.png", "../ink.png")
        assert result.stdout.split() == [f"{number}_ink.png" for number in range(3)]
        assert "left out 3 contents that are results of this command" in result.stderr

    def test_if_exists_error_stops_before_anything_is_done(self, run: Run) -> None:
        Path("out").mkdir()
        Path("out/1_waves.png").touch()
        result = run("stylize", "in", "waves.png", "-o", "out/", "--if-exists", "error")
        assert result.exit_code == 1
        assert len(list(Path("out").iterdir())) == 1

    def test_one_file_cannot_hold_several_results(self, run: Run) -> None:
        result = run("stylize", "in", "waves.png", "-o", "out.png")
        assert result.exit_code == 2
        assert "5 results would all be written to out.png; name a folder" in result.stderr

    def test_a_style_that_cannot_be_read_is_reported_once(self, run: Run) -> None:
        Path("in/empty.png").unlink()
        result = run("stylize", "in/*.png", "in/broken.jpg", "-o", "out/")
        assert result.exit_code == 1
        first, second = result.stderr.splitlines()[-2:]
        assert first.startswith("error: in/broken.jpg: ")
        assert first.endswith("(3 results)")
        assert second == "error: 3 of 3 results failed"


def test_a_field_holds_the_folder_of_a_pattern(run: Run, style: Path) -> None:
    for name in ("dup/a/1.jpg", "dup/b/1.jpg"):
        write_content(Path(name), (8, 8))
    named = run("stylize", "dup/**/*.jpg", "waves.png", "-o", "out/", "-n")
    assert [line.split(" -> ")[1] for line in named.stdout.splitlines()] == [
        "out/a_1_waves.png",
        "out/b_1_waves.png",
    ]
    refused = run("stylize", "dup/**/*.jpg", "waves.png", "-o", "out/{style}.png")
    assert refused.exit_code == 2
    assert "tell them apart by the fields {folder} " in refused.stderr
    result = run("stylize", "dup/**/*.jpg", "waves.png", "-o", "out/{folder}/{content}-{style}.jpg")
    assert result.stdout == "out/a/1-waves.jpg\nout/b/1-waves.jpg\n"
    assert {read_size(name) for name in result.stdout.split()} == {(8, 8)}


def test_pictures_that_differ_by_extension_only(run: Run, style: Path) -> None:
    write_content(Path("in/1.png"), (8, 8))
    write_content(Path("in/1.jpg"), (8, 8), seed=1)
    words = ("stylize", "in", "waves.png", "-o", "out/")
    assert run(*words).stdout == "out/1_jpg_waves.png\nout/1_png_waves.png\n"
    assert "skipped 2 of 2 results" in run(*words).stderr


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["-o", "dl/a.png", "-f"], "3 results would all be written to dl/a.png"),
        (["-o", "dl/a.png"], "3 results would all be written to dl/a.png"),
        (["-o", "dl/a{content}.png", "-f"], "dl/ab.png is an input and would be overwritten"),
        (["-o", "dl/a{content}.png", "--if-exists", "overwrite"], "dl/ab.png is an input"),
    ],
)
def test_originals_with_the_name_of_a_result_are_not_overwritten(
    run: Run, style: Path, words: list[str], problem: str
) -> None:
    originals = [write_content(Path(name), (8, 8)) for name in ("dl/a.png", "dl/ab.png", "dl/b.png")]
    before = [path.read_bytes() for path in originals]
    result = run("stylize", "dl", "waves.png", *words)
    assert result.exit_code == 2
    assert problem in result.stderr
    assert [path.read_bytes() for path in originals] == before


def test_memory_exhausted_by_a_style_names_the_style_and_is_tried_once(
    run: Run, style: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("in/1.png", "in/2.png"):
        write_content(Path(name), (8, 8))
    tried = []

    def exhaust_memory(*words: object, **options: object) -> None:
        tried.append(words)
        torch.empty(2**60, dtype=torch.uint8)

    monkeypatch.setattr(StyleMeasurer, "_measure_sizes", exhaust_memory)
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


def test_names_of_any_bytes(run: Run, style: Path) -> None:
    write_content(Path("caf\udce9 ☕.png"), (8, 8))
    result = run("stylize", "caf\udce9 ☕.png", "waves.png", "--json")
    assert result.exit_code == 0, result.stderr
    assert Path(json.loads(result.stdout)["output"]).is_file()


def test_alpha_is_kept(run: Run, style: Path) -> None:
    picture = make_picture((9, 7), alpha=True)
    write_picture(picture, "glass.png")
    run("stylize", "glass.png", "waves.png")
    result = read_picture("glass_waves.png")
    assert picture.alpha is not None
    assert result.alpha is not None
    assert result.alpha.equal(picture.alpha)


@pytest.mark.usefixtures("style")
def test_pictures_that_cannot_be_read_are_named_at_the_end(run: Run) -> None:
    write_content(Path("in/cat.png"), (24, 16))
    for name in ("1.CR2", "2.cr2", "3.psd"):
        Path("in", name).touch()
    result = run("stylize", "in", "waves.png", "-o", "out/")
    assert (result.exit_code, result.stdout) == (0, "out/cat_waves.png\n")
    assert result.stderr.splitlines()[-2:] == [
        "2 CR2 files cannot be read: export them as TIFF or JPEG",
        "1 PSD file cannot be read: export it as TIFF, PNG or JPEG",
    ]
    again = run("stylize", "in", "waves.png", "-o", "out/")
    assert "2 CR2 files cannot be read" in again.stderr
    Path("in/cat.png").unlink()
    nothing = run("stylize", "in", "waves.png", "-o", "out/")
    assert nothing.exit_code == 2
    assert "in holds no pictures; 2 CR2 files cannot be read: export them as TIFF or JPEG" in nothing.stderr


@pytest.mark.usefixtures("style")
def test_photographs_of_phones_name_the_package_that_reads_them(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_content(Path("in/cat.png"), (24, 16))
    for name in ("1.heic", "2.heic"):
        Path("in", name).touch()
    monkeypatch.setattr("styletransfer.media.formats.find_spec", lambda name: None)
    result = run("stylize", "in", "waves.png", "-o", "out/")
    assert '2 HEIC files cannot be read: run `pip install "styletransfer[heif]"`, or convert' in result.stderr


@pytest.mark.usefixtures("style")
class TestExistingResults:
    @pytest.fixture(autouse=True)
    def contents(self) -> None:
        for seed, name in enumerate(("1", "2", "3")):
            write_content(Path(f"in/{name}.png"), (24, 16), seed=seed)

    @pytest.mark.parametrize("extension", ["png", "jpg", "tiff", "webp"])
    def test_those_of_other_settings_are_counted(self, run: Run, extension: str) -> None:
        words = ("stylize", "in", "waves.png", "-o", "out/{content}." + extension)
        assert run(*words, "-a", "0.5").exit_code == 0
        assert "other settings" not in run(*words, "-a", "0.5").stderr
        Path(f"out/1.{extension}").unlink()
        assert run(*words, "-a", "0.7", "--size", "20").exit_code == 0
        result = run(*words, "-a", "0.7", "--size", "20")
        assert result.stdout == ""
        assert result.stderr.splitlines() == [
            "skipped 3 of 3 results, which exist already",
            "2 existing results were made with other settings (alpha, size); -f makes all results again",
        ]
        assert "other settings" not in run(*words, "-a", "0.7", "-f").stderr

    def test_another_model_or_style_is_another_setting(self, run: Run, other_model: str, style: Path) -> None:
        words = ("stylize", "in", "waves.png", "-o", "out/{content}.png")
        run(*words)
        assert (
            "3 existing results were made with other settings (model);"
            in run(*words, "-m", other_model).stderr
        )
        write_content(Path("ink.png"), (24, 16))
        result = run("stylize", "in", "ink.png", "-o", "out/{content}.png")
        assert "3 existing results were made with other settings (styles);" in result.stderr

    def test_options_that_were_not_recorded_had_their_defaults(self, run: Run) -> None:
        words = ("stylize", "in", "waves.png", "-o", "out/{content}.tiff")
        run(*words)
        for path in Path("out").iterdir():
            data = path.read_bytes()
            assert b'"transform"' in data
            path.write_bytes(data.replace(b'"transform"', b'"otherform"'))
        assert "other settings" not in run(*words).stderr
        assert "3 existing results" in run(*words, "--transform", "adain").stderr

    def test_results_that_say_nothing_are_passed_over(self, run: Run) -> None:
        words = ("stylize", "in", "waves.png", "-o", "out/{content}.png")
        run(*words, "--no-metadata")
        Path("out/2.png").write_bytes(b"no picture")
        assert run(*words, "-a", "0.5").stderr == "skipped 3 of 3 results, which exist already\n"

    @pytest.mark.parametrize("content", ["in", "in/*.png"])
    def test_a_folder_that_does_not_exist_needs_a_slash(self, run: Run, content: str) -> None:
        result = run("stylize", content, "waves.png", "-o", "out")
        assert result.exit_code == 2
        assert "; for a folder, end its name in a slash: out/" in result.stderr
        for name in ("2", "3"):
            Path(f"in/{name}.png").unlink()
        result = run("stylize", content, "waves.png", "-o", "out")
        assert result.exit_code == 2
        assert "; for a folder, end its name in a slash: out/" in result.stderr


@pytest.mark.usefixtures("content", "style")
@pytest.mark.parametrize("name", ["-f.jpg", "-a.jpg", "--photo.jpg", "-o.png"])
def test_a_file_that_is_named_like_an_option(run: Run, name: str) -> None:
    write_content(Path(name), (24, 16))
    for words in (["stylize", name, "waves.png"], ["stylize", "cat.png", name]):
        result = run(*words)
        assert result.exit_code == 2
        (line,) = result.stderr.splitlines()
        assert line.endswith(f"; if {name} is a file, write ./{name}, or -- before all files")
    result = run("stylize", "-q", f"./{name}", "waves.png", "-o", "out.png")
    assert (result.exit_code, result.stdout) == (0, "out.png\n")
    result = run("stylize", "-q", "-f", "-o", "out.png", "-m", "absent.safetensors", "--", name, "waves.png")
    assert result.exit_code == 3  # the files are found


@pytest.mark.usefixtures("content", "style")
def test_a_wrong_option_is_no_file(run: Run) -> None:
    result = run("stylize", "cat.png", "waves.png", "--sise", "3")
    assert result.exit_code == 2
    assert "is a file" not in result.stderr
    assert "stylize --help" in result.stderr
