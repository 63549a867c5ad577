"""`stylize` with folders and patterns, and with names of every kind."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from .conftest import Run
from .pictures import read_size, write_content


def read_bytes(*names: str) -> list[bytes]:
    return [Path(name).read_bytes() for name in names]


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


def test_names_of_any_bytes(run: Run, style: Path) -> None:
    write_content(Path("caf\udce9 ☕.png"), (8, 8))
    result = run("stylize", "caf\udce9 ☕.png", "waves.png", "--json")
    assert result.exit_code == 0, result.stderr
    assert Path(json.loads(result.stdout)["output"]).is_file()


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
