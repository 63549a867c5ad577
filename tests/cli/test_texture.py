"""`styletransfer texture`: outputs, sizes, repeatable files, blends, and what is refused."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from styletransfer.media import read_recorded_settings

from .conftest import Run
from .pictures import read_info, read_size, write_content


def test_a_texture_has_the_size_that_was_asked_for(run: Run, style: Path) -> None:
    result = run("texture", str(style), "--size", "40x24", "--tileable")
    assert result.exit_code == 0
    assert result.stdout == "waves_texture.png\n"
    assert read_size("waves_texture.png") == (40, 24)


def test_one_number_is_a_square(run: Run, style: Path) -> None:
    assert run("texture", str(style), "--size", "33", "-o", "a.jpg").exit_code == 0
    assert read_size("a.jpg") == (33, 33)


def test_the_same_seed_gives_the_same_file_and_another_seed_another(run: Run, style: Path) -> None:
    for name, seed in (("a", "3"), ("b", "3"), ("c", "4")):
        options = ["--size", "32", "--seed", seed, "-o", f"{name}.png"]
        assert run("texture", str(style), *options).exit_code == 0
    first, again, other = (Path(f"{name}.png").read_bytes() for name in "abc")
    assert first == again
    assert first != other


@pytest.mark.parametrize("size", ["1", "7x1000", "33x65"])
@pytest.mark.parametrize("tile", ["--tileable", "--not-tileable"])
def test_odd_sizes(run: Run, style: Path, size: str, tile: str) -> None:
    assert run("texture", str(style), "--size", size, tile, "-o", "a.png").exit_code == 0
    width, _, height = size.partition("x")
    assert read_size("a.png") == (int(width), int(height or width))


@pytest.mark.parametrize("size", ["0", "5x", "x5", "1x2x3", "-4", "much", "3.5", "2000000", "nan"])
def test_bad_sizes_are_usage_errors(run: Run, style: Path, size: str) -> None:
    result = run("texture", str(style), f"--size={size}")
    assert result.exit_code == 2
    assert "size" in result.stderr
    assert not Path("waves_texture.png").exists()


def test_several_styles_give_several_textures_or_a_blend(run: Run, style: Path, folder: Path) -> None:
    write_content(folder / "art" / "hills.png", (40, 36), seed=2)
    styles = [str(style), "art"]
    assert run("texture", *styles, "--size", "24", "-o", "out/{style}-{seed}.png").exit_code == 0
    assert {path.name for path in Path("out").iterdir()} == {"waves-0.png", "hills-0.png"}
    blend = [*styles, "--size", "24", "--style-weights"]
    assert run("texture", *blend, "2,1").stdout == "waves+hills_texture.png\n"
    result = run("texture", *blend, "2,1,1", "-o", "b.png")
    assert result.exit_code == 2
    assert "3 style weights for 2 styles" in result.stderr


def test_statistics_are_styles(run: Run, style: Path) -> None:
    assert run("style-stats", str(style)).exit_code == 0
    assert run("texture", "waves.safetensors", "--size", "24", "-o", "a.png").exit_code == 0
    result = run("texture", "waves.safetensors", "--size", "24", "--refine", "1", "-o", "b.png")
    assert result.exit_code == 2
    assert "waves.safetensors: refinement needs the picture" in result.stderr
    assert not Path("b.png").exists()


def test_json_and_the_file_say_how_a_texture_was_made(run: Run, style: Path) -> None:
    result = run(
        "texture", str(style), "--size", "24x20", "--seed", "5", "--tileable", "--json", "--dpi", "300"
    )
    facts = json.loads(result.stdout)
    assert facts.items() >= {"output": "waves_texture.png", "width": 24, "height": 20, "seed": 5}.items()
    recorded = read_recorded_settings(Path("waves_texture.png"))
    assert (
        recorded.items() >= {"size": "24x20", "seed": "5", "tileable": "True", "styles": "waves.png"}.items()
    )
    assert read_info("waves_texture.png")["dpi"][0] == pytest.approx(300, abs=0.1)
    options = ["--size", "24", "--no-metadata", "-o", "plain.png"]
    assert run("texture", str(style), *options).exit_code == 0
    assert not read_recorded_settings(Path("plain.png"))


def test_a_failed_style_is_described(run: Run, folder: Path, style: Path) -> None:
    (folder / "broken.png").write_bytes(b"no picture")
    result = run("texture", "broken.png", str(style), "--size", "16", "--json", "-o", "out/")
    assert result.exit_code == 1
    failed, made = map(json.loads, result.stdout.splitlines())
    assert "broken.png" in failed["error"]
    assert made["output"] == "out/waves_texture.png"


def test_existing_files_are_kept(run: Run, style: Path) -> None:
    words = ["texture", str(style), "--size", "16"]
    assert run(*words).exit_code == 0
    before = Path("waves_texture.png").read_bytes()
    result = run(*words, "--seed", "1")
    assert result.exit_code == 1
    assert "exists already" in result.stderr
    assert Path("waves_texture.png").read_bytes() == before
    assert run(*words, "--seed", "1", "-f").exit_code == 0
    assert Path("waves_texture.png").read_bytes() != before
    assert run(*words, "-o", str(style), "-f").exit_code == 2  # never over an input


def test_options_come_from_a_toml_file(run: Run, style: Path) -> None:
    Path("a.toml").write_text("[texture]\nsize = [20, 12]\nseed = 4\ntileable = true\n")
    result = run("texture", str(style), "--config", "a.toml", "--json")
    assert json.loads(result.stdout).items() >= {"width": 20, "height": 12, "seed": 4}.items()
    Path("b.toml").write_text("[texture]\nsize = 16\n")
    assert run("texture", str(style), "--config", "b.toml", "-f").exit_code == 0
    assert read_size("waves_texture.png") == (16, 16)


def test_standard_output_gets_one_png(run: Run, style: Path) -> None:
    result = run("texture", str(style), "--size", "16", "-o", "-")
    assert result.stdout_bytes.startswith(b"\x89PNG")
    assert run("texture", str(style), str(style), "-o", "-").exit_code == 2
    assert run("texture", str(style), "-o", "-", "--json").exit_code == 2


@pytest.mark.parametrize("output", ["a.xyz", "a.webp"])
def test_formats_that_cannot_hold_it_are_refused_before_the_work(run: Run, style: Path, output: str) -> None:
    result = run("texture", str(style), "--size", "20000x16", "-o", output)
    assert result.exit_code == 2
    assert output in result.stderr


@pytest.mark.slow
def test_memory_is_that_of_the_pictures_and_not_of_their_features(model: str, folder: Path) -> None:
    """A process for 6 megapixels, whose features take 1 GB: the start and the result take some 70 MB."""
    style = write_content(folder / "large.png", (400, 400))
    peaks = []
    for size in ("64", "3000x2000"):
        words = ["texture", str(style), "--size", size, "-m", model, "-o", f"{size}.png", "--tileable"]
        program = (
            "import sys, resource; from styletransfer.cli import program\n"
            "try: program.main(sys.argv[1:])\n"
            "finally: print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, file=sys.stderr)"
        )
        done = subprocess.run(
            [sys.executable, "-c", program, *words, "--max-memory", "250M"], capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        peaks.append(int(done.stderr.split()[-1]))
    assert peaks[1] - peaks[0] < 300 * 1024  # KiB
