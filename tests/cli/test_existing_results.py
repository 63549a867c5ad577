"""Results that exist already: kept, overwritten, renamed, or counted where they were made otherwise."""

from __future__ import annotations

from pathlib import Path

import pytest

from styletransfer.media import read_recorded_settings

from .conftest import Run
from .pictures import read_size, write_content


def read_bytes(*names: str) -> list[bytes]:
    return [Path(name).read_bytes() for name in names]


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

    def test_a_strength_that_was_chosen_is_not_the_default(self, run: Run) -> None:
        words = ("stylize", "in", "waves.png", "-o", "out/{content}.png")
        run(*words, "--match", "auto")
        assert read_recorded_settings(Path("out/2.png"))["match"] == "auto"
        assert "other settings" not in run(*words, "--match", "auto").stderr
        assert "3 existing results were made with other settings (match)" in run(*words).stderr

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
