"""`stylize` with masks and maps of labels, as real files."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from PIL import Image, ImageDraw

from styletransfer.media import Picture, read_picture, read_recorded_settings, write_picture

from .conftest import Run
from .pictures import write_content


def paint_map(path: str, size: tuple[int, int], left: str, right: str, quality: int | None = None) -> None:
    """Write a picture of two halves."""
    image = Image.new("RGB", size, right)
    ImageDraw.Draw(image).rectangle((0, 0, size[0] // 2 - 1, size[1]), fill=left)
    image.save(path, quality=quality or 95)


def pixels_of(path: str) -> torch.Tensor:
    return read_picture(path).pixels.int()


@pytest.mark.usefixtures("content", "style")
class TestMasks:
    def test_black_keeps_the_pixels_and_white_is_painted(self, run: Run) -> None:
        paint_map("mask.png", (24, 16), "white", "black")
        result = run("stylize", "cat.png", "waves.png", "--mask", "mask.png")
        assert result.exit_code == 0, result.stderr
        found, original = pixels_of("cat_waves.png"), pixels_of("cat.png")
        assert torch.equal(found[..., 12:], original[..., 12:])
        assert (found - original)[..., :12].abs().float().mean() > 5
        assert read_recorded_settings(Path("cat_waves.png"))["masks"] == "mask.png"

    def test_a_white_mask_changes_nothing(self, run: Run) -> None:
        paint_map("mask.png", (5, 3), "white", "white")
        run("stylize", "cat.png", "waves.png", "-o", "plain.png", "--no-metadata")
        run("stylize", "cat.png", "waves.png", "-o", "masked.png", "--no-metadata", "--mask", "mask.png")
        assert Path("plain.png").read_bytes() == Path("masked.png").read_bytes()

    def test_one_mask_per_style_gives_one_result(self, run: Run) -> None:
        write_content(Path("sea.png"), (20, 30), seed=5)
        paint_map("left.png", (24, 16), "white", "black")
        paint_map("right.png", (24, 16), "black", "white")
        words = "stylize", "cat.png", "waves.png", "sea.png"
        result = run(*words, "--mask", "left.png", "--mask", "right.png")
        assert result.stdout == "cat_waves+sea.png\n", result.stderr
        swapped = run(*words, "--mask", "right.png", "--mask", "left.png", "-o", "swapped.png")
        assert swapped.exit_code == 0
        assert (pixels_of("cat_waves+sea.png") - pixels_of("swapped.png")).abs().float().mean() > 5

    def test_outside_of_all_masks_the_first_style_may_be_painted(self, run: Run) -> None:
        paint_map("mask.png", (24, 16), "black", "black")
        run("stylize", "cat.png", "waves.png", "-o", "plain.png")
        run("stylize", "cat.png", "waves.png", "-o", "first.png", "--mask", "mask.png", "--outside", "first")
        assert torch.equal(pixels_of("plain.png"), pixels_of("first.png"))
        run("stylize", "cat.png", "waves.png", "-o", "kept.png", "--mask", "mask.png")
        assert torch.equal(pixels_of("kept.png"), pixels_of("cat.png"))

    def test_the_content_s_transparency_is_a_mask(self, run: Run) -> None:
        picture = read_picture("cat.png")
        alpha = torch.zeros(1, 16, 24, dtype=torch.uint8)
        alpha[..., :12] = 255
        write_picture(Picture(picture.pixels, alpha), Path("cut.png"))
        result = run("stylize", "cut.png", "waves.png", "--mask", "alpha")
        assert result.exit_code == 0, result.stderr
        found = read_picture("cut_waves.png")
        assert found.alpha is not None
        assert torch.equal(found.alpha, alpha)

    @pytest.mark.parametrize(
        ("words", "message"),
        [
            (["--mask", "missing.png"], "missing.png: no such file"),
            (["--mask", "mask.png", "--mask", "mask.png"], "2 masks for 1 styles; give one for every STYLE"),
            (["--mask", "alpha"], "the mask is alpha, but the content has no alpha channel"),
            (["--mask", "mask.png", "-o", "mask.png", "-f"], "mask.png"),
            (["--regions", "mask.png"], "--regions and --style-regions belong together"),
            (
                ["--mask", "mask.png", "--regions", "mask.png", "--style-regions", "mask.png"],
                "masks and maps of labels exclude each other",
            ),
        ],
    )
    def test_errors_name_the_file_and_the_remedy(self, run: Run, words: list[str], message: str) -> None:
        paint_map("mask.png", (24, 16), "white", "black")
        before = Path("mask.png").read_bytes()
        result = run("stylize", "cat.png", "waves.png", *words)
        assert result.exit_code in {1, 2}
        assert message in result.stderr
        assert Path("mask.png").read_bytes() == before
        assert not Path("cat_waves.png").exists()


@pytest.mark.usefixtures("content", "style")
class TestLabels:
    def test_regions_of_equal_color_belong_together(self, run: Run) -> None:
        paint_map("content_map.jpg", (240, 160), "red", "blue", quality=40)
        paint_map("style_map.jpg", (120, 90), "blue", "red", quality=40)
        maps = "--regions", "content_map.jpg", "--style-regions", "style_map.jpg"
        result = run("stylize", "cat.png", "waves.png", *maps)
        assert (result.exit_code, result.stdout) == (0, "cat_waves.png\n"), result.stderr
        assert "has no region" not in result.stderr
        paint_map("style_map.jpg", (120, 90), "red", "blue", quality=40)
        run("stylize", "cat.png", "waves.png", *maps, "-o", "other.png")
        assert (pixels_of("cat_waves.png") - pixels_of("other.png")).abs().float().mean() > 2
        recorded = read_recorded_settings(Path("cat_waves.png"))
        assert (recorded["regions"], recorded["style_regions"]) == ("content_map.jpg", "style_map.jpg")

    def test_a_color_that_the_style_lacks_falls_back_to_the_whole_style(self, run: Run) -> None:
        paint_map("content_map.png", (24, 16), "red", "#00ff00")
        paint_map("style_map.png", (24, 16), "red", "blue")
        maps = "--regions", "content_map.png", "--style-regions", "style_map.png"
        result = run("stylize", "cat.png", "waves.png", *maps)
        assert result.exit_code == 0
        note = "style_map.png has no region of color #00ff00; the whole style is used there"
        assert note in result.stderr

    def test_a_photograph_is_no_map(self, run: Run) -> None:
        generator = torch.Generator().manual_seed(0)
        noise = Picture.from_float(torch.rand(3, 40, 40, generator=generator))
        write_picture(noise, Path("noise.png"))
        result = run(
            *("stylize", "cat.png", "waves.png", "--regions", "noise.png", "--style-regions", "noise.png")
        )
        assert result.exit_code == 2
        assert "noise.png and noise.png: a map of labels has" in result.stderr


@pytest.mark.usefixtures("content", "style")
def test_strength_by_scale(run: Run) -> None:
    run("stylize", "cat.png", "waves.png", "-o", "full.png")
    run("stylize", "cat.png", "waves.png", "-o", "ones.png", "--alpha-scales", "1,1,1")
    run("stylize", "cat.png", "waves.png", "-o", "coarse.png", "--alpha-scales", "0,1,1")
    assert torch.equal(pixels_of("full.png"), pixels_of("ones.png"))
    assert not torch.equal(pixels_of("full.png"), pixels_of("coarse.png"))
    result = run("stylize", "cat.png", "waves.png", "-o", "wrong.png", "--alpha-scales", "1,1")
    assert "alpha_scales has 2 numbers; the model has 3 scales" in result.stderr
    assert run("stylize", "cat.png", "waves.png", "--alpha-scales", "2").exit_code == 2
