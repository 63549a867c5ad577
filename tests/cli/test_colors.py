"""`stylize --color-only`, --lut and --preserve-color palette."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from styletransfer.media import read_picture
from styletransfer.media.cube_lut import CubeLut

from .conftest import Run
from .pictures import read_info, read_size, write_content

COLOR_ONLY = ("stylize", "cat.png", "waves.png", "--color-only")
pytestmark = pytest.mark.usefixtures("content", "style")


def test_colors_and_their_table_are_written(run: Run) -> None:
    result = run(*COLOR_ONLY, "--lut", "look.cube", "--json")
    assert result.exit_code == 0, result.stderr
    facts = json.loads(result.stdout)
    assert (facts["output"], facts["lut"]) == ("cat_waves.png", "look.cube")
    assert read_size("cat_waves.png") == (24, 16)
    assert CubeLut.load("look.cube").title == "waves"
    assert read_info("cat_waves.png")["color_only"] == "True"


def test_options_that_count(run: Run) -> None:
    def make(*words: str) -> bytes:
        assert run(*COLOR_ONLY, "-f", "--no-metadata", *words).exit_code == 0
        return Path("cat_waves.png").read_bytes()

    plain = make()
    assert make("--match", "0", "--transform", "adain", "--stroke-scale", "2") == plain
    assert make("-a", "0.5") != plain
    make("-a", "0")
    assert read_picture("cat_waves.png").pixels.equal(read_picture("cat.png").pixels)
    make("--bit-depth", "16", "--size", "12")
    assert (read_size("cat_waves.png"), read_picture("cat_waves.png").bit_depth) == ((12, 8), 16)


def test_options_come_from_a_file_and_from_variables(run: Run) -> None:
    Path("options.toml").write_text('[stylize]\ncolor-only = true\nlut = "look.cube"\n')
    assert run("stylize", "cat.png", "waves.png", "--config", "options.toml").exit_code == 0
    assert Path("look.cube").exists()
    words = ("stylize", "cat.png", "waves.png", "-f", "--lut", "other.cube")
    assert run(*words, STYLETRANSFER_COLOR_ONLY="1").exit_code == 0
    assert Path("other.cube").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--lut", "look.cube", "--no-metadata"), "add --color-only, or leave out --lut"),
        (
            ("--color-only", "--lut", "look.png"),
            "look.png is no name of a .cube file; name it like look.cube",
        ),
        (("--color-only", "--lut", "{nonsense}.cube"), "unknown field {nonsense}"),
        (("--color-only", "--refine", "3"), "leave out refine"),
        (("--color-only", "--preserve-color", "palette"), "exclude each other"),
    ],
)
def test_usage_errors_come_with_a_remedy(run: Run, words: tuple[str, ...], message: str) -> None:
    result = run("stylize", "cat.png", "waves.png", *words)
    assert result.exit_code == 2
    assert message in result.stderr
    assert len(result.stderr.splitlines()) <= 3
    assert not list(Path().glob("*.cube"))
    assert not Path("cat_waves.png").exists()


def test_an_existing_table_is_kept(run: Run) -> None:
    Path("look.cube").write_text("precious")
    result = run(*COLOR_ONLY, "--lut", "look.cube")
    assert result.exit_code == 1
    assert result.stderr == "error: look.cube exists already; overwrite with -f or see --if-exists\n"
    assert not Path("cat_waves.png").exists()
    assert run(*COLOR_ONLY, "--lut", "look.cube", "--if-exists", "skip").exit_code == 0
    assert Path("look.cube").read_text() == "precious"
    assert Path("cat_waves.png").exists()
    assert run(*COLOR_ONLY, "--lut", "look.cube", "--if-exists", "rename").exit_code == 0
    assert Path("look.cube").read_text() == "precious"
    assert CubeLut.load("look_1.cube").table.shape == (33, 33, 33, 3)
    assert run(*COLOR_ONLY, "--lut", "look.cube", "-f").exit_code == 0
    assert CubeLut.load("look.cube").table.equal(CubeLut.load("look_1.cube").table)


def test_a_table_is_no_input(run: Run) -> None:
    Path("cat.cube").write_bytes(Path("cat.png").read_bytes())
    result = run("stylize", "cat.cube", "waves.png", "--color-only", "-f", "--lut", "cat.cube")
    assert (result.exit_code, "is an input and would be overwritten" in result.stderr) == (2, True)


def test_several_results_have_several_tables(run: Run) -> None:
    for seed, name in enumerate(("1", "2")):
        write_content(Path(f"in/{name}.png"), (24, 16), seed=seed)
    words = ("stylize", "in", "waves.png", "-o", "out/", "--color-only", "--lut")
    result = run(*words, "look.cube")
    assert result.exit_code == 2
    assert "2 results would all be written to look.cube; name a folder, or tell them apart" in result.stderr
    assert run(*words, "{content}.cube").exit_code == 0
    assert run(*words, "looks/", "-f").exit_code == 0
    names = {"1.cube", "2.cube", "looks/1_waves.cube", "looks/2_waves.cube"}
    assert {path.as_posix() for path in Path().rglob("*.cube")} == names
    assert "-> out/1_waves.png, 1.cube\n" in run(*words, "{content}.cube", "-f", "-n").stdout


def test_standard_output_takes_the_picture(run: Run) -> None:
    result = run(*COLOR_ONLY, "-o", "-", "--lut", "look.cube")
    assert result.stdout_bytes.startswith(b"\x89PNG")
    assert Path("look.cube").exists()


@pytest.mark.parametrize("words", [("--color-only",), ("--preserve-color", "palette")])
def test_statistics_are_refused_with_a_remedy(run: Run, words: tuple[str, ...]) -> None:
    assert run("style-stats", "waves.png", "-o", "waves.safetensors").exit_code == 0
    result = run("stylize", "cat.png", "waves.safetensors", *words, "-q")
    assert result.exit_code == 2
    assert "waves.safetensors: " in result.stderr
    assert "needs the picture of the style, not its statistics; give the picture, or" in result.stderr


def test_a_palette_with_cached_styles(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    words = ("stylize", "cat.png", "waves.png", "-f", "--no-metadata", "--cache-styles")

    def make(*more: str) -> bytes:
        assert run(*words, *more).exit_code == 0
        return Path("cat_waves.png").read_bytes()

    kept = make("--preserve-color", "palette")
    assert not list((tmp_path / "cache").rglob("*.safetensors"))
    plain = make()
    assert plain != kept
    assert make("--preserve-color", "palette") == kept
    assert make() == plain


def test_a_sheet_shows_colors_too(run: Run) -> None:
    assert run("sheet", "cat.png", "waves.png").exit_code == 0
    plain = Path("sheet.png").read_bytes()
    assert run("sheet", "cat.png", "waves.png", "-f", "--color-only").exit_code == 0
    assert Path("sheet.png").read_bytes() != plain
