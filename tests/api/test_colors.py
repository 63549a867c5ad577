"""Colors alone, and styles in the colors of the content, from the Python interface."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from styletransfer import StyleStatistics, Stylizer
from styletransfer.color_grading import ColorGrader
from styletransfer.errors import CancelledError, OptionError
from styletransfer.evaluation import swd_rgb
from styletransfer.linalg import compute_statistics
from styletransfer.media import Picture, read_picture, resize_picture
from styletransfer.media.cube_lut import CubeLut
from styletransfer.options import StylizeOptions

EXAMPLES = Path(__file__).parents[2] / "examples"
COLOR_ONLY = StylizeOptions(color_only=True)


@pytest.fixture(scope="module")
def photograph() -> Picture:
    return resize_picture(read_picture(EXAMPLES / "content" / "china.jpg"), 200)


@pytest.fixture(scope="module")
def painting() -> Picture:
    return resize_picture(read_picture(EXAMPLES / "style" / "knife.jpg"), 200)


def interpolate_in_numpy(table: np.ndarray[Any, Any], colors: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Interpolate in tetrahedra, written as the six cases of the literature."""
    position = colors * (len(table) - 1)
    base = np.minimum(position.astype(int), len(table) - 2)
    x, y, z = (position - base).T[..., None]

    def corner(r: int, g: int, b: int) -> np.ndarray[Any, Any]:
        found: np.ndarray[Any, Any] = table[base[:, 0] + r, base[:, 1] + g, base[:, 2] + b]
        return found

    black, white = corner(0, 0, 0), corner(1, 1, 1)
    red, green, blue = corner(1, 0, 0), corner(0, 1, 0), corner(0, 0, 1)
    yellow, magenta, cyan = corner(1, 1, 0), corner(1, 0, 1), corner(0, 1, 1)
    cases = [
        ((x >= y) & (y >= z), (1 - x) * black + (x - y) * red + (y - z) * yellow + z * white),
        ((x >= z) & (z >= y), (1 - x) * black + (x - z) * red + (z - y) * magenta + y * white),
        ((z >= x) & (x >= y), (1 - z) * black + (z - x) * blue + (x - y) * magenta + y * white),
        ((y >= x) & (x >= z), (1 - y) * black + (y - x) * green + (x - z) * yellow + z * white),
        ((y >= z) & (z >= x), (1 - y) * black + (y - z) * green + (z - x) * cyan + x * white),
        ((z >= y) & (y >= x), (1 - z) * black + (z - y) * blue + (y - x) * cyan + x * white),
    ]
    result: np.ndarray[Any, Any] = np.select(
        [np.broadcast_to(c, v.shape) for c, v in cases], [v for _, v in cases]
    )
    return result


@pytest.mark.parametrize("alpha", [1.0, 0.4])
def test_the_table_is_the_result(
    stylizer: Stylizer, photograph: Picture, painting: Picture, tmp_path: Path, alpha: float
) -> None:
    options = StylizeOptions(color_only=True, alpha=alpha)
    result = stylizer.stylize_picture(photograph, painting, options)
    assert result.lut is not None
    result.lut.save(tmp_path / "look.cube")
    table = CubeLut.load(tmp_path / "look.cube").table.numpy().astype(float)
    colors = photograph.pixels.flatten(1).T.numpy() / 255
    expected = interpolate_in_numpy(table, colors).T.reshape(photograph.pixels.shape) * 255
    assert np.abs(expected - result.picture.pixels.numpy()).max() < 1.0  # the dither, and nothing else
    wide = stylizer.stylize_picture(photograph, painting, options, bit_depth=16).picture
    assert np.abs(expected * 257 - wide.pixels.numpy().astype(float)).max() < 1.0  # not dithered


def test_colors_are_those_of_the_style(stylizer: Stylizer, photograph: Picture, painting: Picture) -> None:
    before, style = photograph.to_float(), painting.to_float()
    after = stylizer.stylize(photograph, painting, color_only=True).to_float()
    assert swd_rgb(after, style) < 0.15 * swd_rgb(before, style)


def test_alpha_0_is_the_content(stylizer: Stylizer, photograph: Picture, painting: Picture) -> None:
    for content in (photograph, photograph.with_bit_depth(16)):
        result = stylizer.stylize(content, painting, color_only=True, alpha=0)
        assert result.pixels.equal(content.pixels)
    floats = photograph.to_float()
    torch.testing.assert_close(stylizer.stylize(floats, painting, color_only=True, alpha=0), floats)


def test_kinds_sizes_batches_and_blends(stylizer: Stylizer, photograph: Picture, painting: Picture) -> None:
    floats = photograph.to_float()
    alone = stylizer.stylize(floats, painting, color_only=True)
    assert 0 <= alone.min() <= alone.max() <= 1
    batch = stylizer.stylize(torch.cat([floats, 1 - floats]), painting, color_only=True)
    assert batch[:1].equal(alone)
    assert stylizer.stylize(photograph, painting, color_only=True, size=50).width == 50
    inverse = Picture(255 - painting.pixels)
    blend = stylizer.stylize(floats, [painting, inverse], color_only=True, style_weights=(3, 1))
    expected = 0.75 * painting.to_float().mean((2, 3)) + 0.25 * inverse.to_float().mean((2, 3))
    assert (blend.mean((2, 3)) - expected).abs().max() < 0.02
    with pytest.raises(OptionError, match="3 style weights for 2 styles"):
        stylizer.stylize(floats, [painting, inverse], color_only=True, style_weights=(3, 1, 1))


@pytest.mark.parametrize("name", ["knife", "nocturne", "woodcut", "mosaic"])
def test_a_smooth_gradient_has_no_bands(stylizer: Stylizer, name: str) -> None:
    across, down = torch.linspace(0, 255, 1000), torch.linspace(0, 255, 1000)[:, None]
    pixels = torch.stack([across.expand(1000, -1), down.expand(-1, 1000), (across + down) / 2])
    gradient = Picture(pixels.round().to(torch.uint8))
    result = stylizer.stylize(gradient, EXAMPLES / "style" / f"{name}.jpg", color_only=True)
    steps = [
        max(int(picture.pixels.int().diff(dim=axis).abs().max()) for axis in (1, 2))
        for picture in (gradient, result)
    ]
    assert steps[0] == 1
    assert steps[1] <= steps[0] + 2


def test_the_dither_keeps_means_and_grays(stylizer: Stylizer, painting: Picture) -> None:
    flat = Picture(torch.full((3, 64, 64), 100, dtype=torch.uint8))
    narrow = stylizer.stylize(flat, painting, color_only=True).pixels.float()
    wide = stylizer.stylize_picture(flat, painting, COLOR_ONLY, bit_depth=16).picture.pixels.float() / 257
    assert (narrow.mean((1, 2)) - wide.mean((1, 2))).abs().max() < 0.05
    assert narrow.amax((1, 2)).sub(narrow.amin((1, 2))).max() == 1
    gray = Picture(painting.pixels[:1].expand(3, -1, -1).contiguous())
    graded = stylizer.stylize(painting, gray, color_only=True).pixels.int()
    assert graded.amax(0).sub(graded.amin(0)).max() <= 1


def one_color(*rgb: int, size: int = 8) -> Picture:
    return Picture(torch.tensor(rgb, dtype=torch.uint8).view(3, 1, 1).expand(-1, size, size).contiguous())


@pytest.mark.parametrize("options", [{"color_only": True}, {"preserve_color": "palette"}])
def test_pictures_of_any_kind(stylizer: Stylizer, painting: Picture, options: dict[str, Any]) -> None:
    transparent = Picture(painting.pixels, torch.zeros_like(painting.pixels[:1]))
    gray = Picture(painting.pixels[:1].expand(3, -1, -1).contiguous())
    pictures = [
        *(
            one_color(255, 0, 0),
            one_color(0, 0, 0),
            one_color(255, 255, 255, size=1),
            one_color(9, 90, 200, size=1),
        ),
        *(transparent, gray, painting.with_bit_depth(16), resize_picture(painting, 9)),
    ]
    for content, style in [
        *((each, painting) for each in pictures),
        *((painting, each) for each in pictures),
    ]:
        result = stylizer.stylize(content, style, size=24 if content.width > 24 else None, **options)
        assert result.bit_depth == content.bit_depth
        assert (result.alpha is None) == (content.alpha is None)


def test_flat_pictures_get_sensible_colors(stylizer: Stylizer, painting: Picture) -> None:
    flat = one_color(200, 60, 20)
    onto_flat = stylizer.stylize(painting, flat, color_only=True).pixels.float()
    assert (onto_flat - flat.pixels[:, :1, :1].float()).abs().max() <= 1
    from_flat = stylizer.stylize(flat, painting, color_only=True).pixels.float()
    assert (from_flat.mean((1, 2)) - painting.pixels.float().mean((1, 2))).abs().max() < 4


def test_invisible_colors_count_for_nothing(
    stylizer: Stylizer, photograph: Picture, painting: Picture
) -> None:
    alpha = torch.full_like(photograph.pixels[:1], 255)
    alpha[:, :60] = 0
    hidden = photograph.pixels.clone()
    hidden[:, :60] = torch.tensor([255, 0, 255], dtype=torch.uint8).view(3, 1, 1)
    contents = Picture(photograph.pixels, alpha), Picture(hidden, alpha)
    for options in (COLOR_ONLY, StylizeOptions(preserve_color="palette", match=0)):
        first, second = (stylizer.stylize_picture(each, painting, options).picture for each in contents)
        assert first.alpha is not None
        assert first.alpha.equal(alpha)
        assert (first.pixels.int() - second.pixels.int())[:, 80:].abs().max() <= 1
    (graded,) = (stylizer.stylize(photograph, each, color_only=True) for each in [painting])
    for style in contents:
        onto = stylizer.stylize(painting, style, color_only=True).to_float().mean((2, 3))
        visible = photograph.pixels[:, 60:].float().div(255).mean((1, 2))
        assert (onto - visible).abs().max() < 0.02
    assert graded.alpha is None


def test_strips_join_without_a_seam(
    stylizer: Stylizer, painting: Picture, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = Picture(painting.pixels, painting.pixels[:1])
    whole = stylizer.stylize(content, painting, color_only=True)
    monkeypatch.setattr("styletransfer.color_grading.STRIP_PIXELS", 1000)
    reports: list[float] = []
    parts = stylizer.stylize(content, painting, color_only=True, progress=reports.append)
    assert (whole.pixels.int() - parts.pixels.int()).abs().max() <= 1  # the order of the sums
    assert reports == sorted(reports)
    assert reports[-1] == 1
    assert len(reports) == 40


def test_a_stop_ends_the_work(photograph: Picture, painting: Picture) -> None:
    stop = Event()
    stop.set()
    with pytest.raises(CancelledError):
        ColorGrader(stop).grade(photograph.pixels, None, [painting], COLOR_ONLY)


def moments(pixels: Tensor) -> tuple[Tensor, Tensor]:
    statistics = compute_statistics(pixels.flatten(-2).reshape(1, 3, -1).double())
    return statistics.mean[0], statistics.covariance[0]


def test_a_recolored_style_has_the_colors_of_the_content(photograph: Picture, painting: Picture) -> None:
    options = StylizeOptions(style_size=100, stroke_scale=1)
    grader = ColorGrader()
    (style,) = grader.recolor_styles([painting], grader.measure_palette(photograph.pixels, None), options)
    assert (style.bit_depth, style.width) == (16, 100)
    (mean, covariance), (wanted_mean, wanted_covariance) = (
        moments(style.to_float()),
        moments(photograph.to_float()),
    )
    torch.testing.assert_close(mean, wanted_mean, atol=0.015, rtol=0)
    torch.testing.assert_close(covariance.diag().sqrt(), wanted_covariance.diag().sqrt(), atol=0.03, rtol=0)
    own = moments(painting.to_float())[0]
    assert (own - wanted_mean).abs().max() > 0.1


@pytest.mark.parametrize("more", [{}, {"stroke_scale": 2}, {"refine": 1}, {"size": 100}, {"alpha": 0.7}])
def test_a_palette_is_that_of_the_content(
    stylizer: Stylizer, photograph: Picture, painting: Picture, more: dict[str, Any]
) -> None:
    content = resize_picture(photograph, 128)
    plain = stylizer.stylize(content, painting, **more).to_float()
    kept = stylizer.stylize(content, painting, preserve_color="palette", **more).to_float()
    wanted = content.to_float()
    assert swd_rgb(kept, wanted) < 0.6 * swd_rgb(plain, wanted)
    luma = stylizer.stylize(content, painting, preserve_color="luma", **more).to_float()
    assert (kept - luma).abs().mean() > 0.01


def test_a_palette_with_blends_and_batches(
    stylizer: Stylizer, photograph: Picture, painting: Picture
) -> None:
    content = resize_picture(photograph, 96).to_float()
    options = StylizeOptions(preserve_color="palette", style_weights=(1, 2))
    styles = [painting, Picture(255 - painting.pixels)]
    blend = stylizer.stylize(content, styles, options)
    assert (blend.mean((2, 3)) - content.mean((2, 3))).abs().max() < 0.04
    batch = stylizer.stylize(torch.cat([content, 1 - content]), styles, options)
    torch.testing.assert_close(batch[:1], blend)
    assert (batch[1:].mean((2, 3)) - (1 - content).mean((2, 3))).abs().max() < 0.04


def test_a_palette_does_not_change_remembered_styles(stylizer: Stylizer, content: Path, style: Path) -> None:
    fresh = Stylizer("default", runtime=stylizer.pipeline.runtime)
    fresh.stylize(content, style, preserve_color="palette")
    assert fresh.stylize(content, style).tobytes() == stylizer.stylize(content, style).tobytes()
    first = fresh.stylize(content, style, preserve_color="palette").tobytes()
    assert (
        first
        == Stylizer("default", runtime=stylizer.pipeline.runtime)
        .stylize(content, style, preserve_color="palette")
        .tobytes()
    )


def test_styles_of_colors_are_remembered_by_their_state(
    stylizer: Stylizer, content: Path, style: Path
) -> None:
    before = stylizer.stylize(content, style, color_only=True).tobytes()
    assert stylizer.stylize(content, style, color_only=True).tobytes() == before
    style.write_bytes(content.read_bytes())
    os.utime(style, ns=(1, 1))
    assert stylizer.stylize(content, style, color_only=True).tobytes() != before


@pytest.mark.parametrize("options", [{"color_only": True}, {"preserve_color": "palette"}])
def test_statistics_have_no_picture(
    stylizer: Stylizer, content: Path, style: Path, tmp_path: Path, options: dict[str, Any]
) -> None:
    statistics = stylizer.measure_style(style)
    statistics.save(tmp_path / "waves.safetensors")
    kinds: list[StyleStatistics | Path] = [statistics, tmp_path / "waves.safetensors"]
    for kind in kinds:
        with pytest.raises(OptionError, match=r"needs the picture of the style, .*; give the picture, or "):
            stylizer.stylize(content, kind, **options)


@pytest.mark.parametrize(
    "options",
    [{"preserve_color": "luma"}, {"preserve_color": "palette"}, {"refine": 1}],
)
def test_what_colors_alone_exclude(options: dict[str, Any]) -> None:
    with pytest.raises(OptionError, match="color_only"):
        StylizeOptions(color_only=True, **options)


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
def test_memory_is_bounded() -> None:
    """As floats alone, the picture would take 192 MB."""
    code = """
import torch
from styletransfer.color_grading import ColorGrader
from styletransfer.media import Picture
from styletransfer.options import StylizeOptions
from styletransfer.pipeline.process_memory import resident_memory

torch.set_num_threads(1)
content = torch.arange(3 * 4000 * 4000, dtype=torch.int32).remainder_(251).to(torch.uint8).view(3, 4000, 4000)
style = Picture(content[:, :64, :64].contiguous())
options = StylizeOptions(color_only=True)
ColorGrader().grade(style.pixels, None, [style], options)
start = resident_memory()
with open("/proc/self/clear_refs", "w") as file:
    file.write("5")
ColorGrader().grade(content, None, [style], options)
for line in open("/proc/self/status"):
    if line.startswith("VmHWM"):
        print((int(line.split()[1]) * 1024 - start) / 2**20)
"""
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert float(process.stdout) < 46 + 90  # the result, and the strips
