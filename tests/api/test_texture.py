"""Textures: seeds, tiles without a seam, sizes, blends, and styles that are known by statistics only."""

from __future__ import annotations

import itertools
from pathlib import Path
from statistics import fmean

import pytest
import torch
from torch import Tensor

from styletransfer import Stylizer, synthesize_texture
from styletransfer.errors import MemoryLimitError, OptionError
from styletransfer.evaluation import ssim
from styletransfer.media import Picture, read_picture, resize_picture
from styletransfer.options import StylizeOptions, TextureOptions
from styletransfer.texture import MARGIN
from styletransfer.transfer.tiling import continue_periodically

EXAMPLES = Path(__file__).parents[2] / "examples" / "style"
STYLE = EXAMPLES / "nocturne.jpg"


def texture(stylizer: Stylizer, style: object = STYLE, **values: object) -> Picture:
    options = TextureOptions(**{"size": (160, 128), "style_size": 256, **values})  # type: ignore[arg-type]
    return synthesize_texture(stylizer, style, options)  # type: ignore[arg-type]


def differences(pixels: Tensor) -> tuple[float, float]:
    """Return the mean differences of neighbors across the opposite edges, and within 4 pixels of them."""
    across, beside = [], []
    for dim in (1, 2):
        length = pixels.shape[dim]
        rolled = pixels.float().roll(length // 2, dim)
        means = rolled.diff(dim=dim).abs().mean([each for each in (0, 1, 2) if each != dim])
        seam = length // 2 - 1
        across.append(float(means[seam]))
        beside.append(float(torch.cat([means[seam - 4 : seam], means[seam + 1 : seam + 5]]).mean()))
    return fmean(across), fmean(beside)


def test_seeds_differ_and_the_same_seed_repeats(stylizer: Stylizer) -> None:
    first, again, other = (texture(stylizer, seed=seed) for seed in (3, 3, 4))
    assert torch.equal(first.pixels, again.pixels)
    assert ssim(first.to_float(), other.to_float()) < 0.4


def test_opposite_edges_of_a_tile_join_as_its_inside_does(stylizer: Stylizer) -> None:
    pairs = list(itertools.product(("nocturne", "woodcut", "mosaic", "facets"), range(2)))
    ratios = []
    for tileable in (True, False):
        found = [
            differences(
                texture(
                    stylizer,
                    EXAMPLES / f"{name}.jpg",
                    size=(192, 192),
                    style_size=None,
                    seed=seed,
                    tileable=tileable,
                ).pixels
            )
            for name, seed in pairs
        ]
        across, beside = (fmean(column) for column in zip(*found, strict=True))
        ratios.append(across / beside)
    # Single columns of small pictures vary by some 10 %, so that many are averaged.
    assert ratios[0] == pytest.approx(1, abs=0.05)
    assert ratios[1] > 2


def test_what_continues_periodically_is_painted_periodically(stylizer: Stylizer) -> None:
    start = resize_picture(read_picture(STYLE), 64).pixels
    content = Picture(continue_periodically(start, MARGIN))
    result = stylizer.stylize_picture(content, STYLE, StylizeOptions(stroke_scale=1)).picture.pixels.int()
    for pixels in (result, result.mT):
        inside = pixels[:, MARGIN : MARGIN + 64]
        assert (inside[..., MARGIN - 1] - inside[..., MARGIN + 63]).abs().max() == 0


@pytest.mark.parametrize("tileable", [False, True])
@pytest.mark.parametrize("size", [(1, 1), (7, 1000), (33, 65), (129, 3)])
def test_any_size_is_possible(stylizer: Stylizer, size: tuple[int, int], tileable: bool) -> None:
    made = texture(stylizer, size=size, tileable=tileable)
    assert (made.width, made.height) == size
    if min(size) > 1:
        assert made.pixels.float().std() > 1


def test_colors_of_a_texture_are_those_of_its_style(stylizer: Stylizer) -> None:
    style = read_picture(STYLE).pixels.float()
    made = texture(stylizer, size=(256, 256), style_size=None).pixels.float()
    assert (made.mean((1, 2)) - style.mean((1, 2))).abs().max() < 15


def test_weights_decide_how_much_of_each_style_is_seen(stylizer: Stylizer) -> None:
    white, black = (Picture(torch.full((3, 64, 64), level, dtype=torch.uint8)) for level in (250, 5))
    levels = [
        float(texture(stylizer, [white, black], style_weights=weights).pixels.float().mean())
        for weights in ((1, 3), (1, 1), (3, 1), (1, 0))
    ]
    assert levels == sorted(levels)
    assert levels[0] < 90
    assert levels[3] > 240
    with pytest.raises(OptionError, match="3 style weights for 2 styles"):
        texture(stylizer, [white, black], style_weights=(1, 1, 1))


def test_statistics_are_enough(stylizer: Stylizer, tmp_path: Path) -> None:
    statistics = stylizer.measure_style(STYLE, style_size=256)
    statistics.save(tmp_path / "nocturne.safetensors")
    from_memory = texture(stylizer, statistics, tileable=True, size=(256, 256))
    from_file = texture(stylizer, tmp_path / "nocturne.safetensors", tileable=True, size=(256, 256))
    assert torch.equal(from_memory.pixels, from_file.pixels)
    style = read_picture(STYLE).pixels.float().mean((1, 2))
    assert (from_file.pixels.float().mean((1, 2)) - style).abs().max() < 15
    with pytest.raises(OptionError, match="refinement needs the picture"):
        texture(stylizer, statistics, refine=1)
    large = stylizer.measure_style(STYLE, stroke_scale=2)
    with pytest.raises(OptionError, match="measured for stroke scale 2"):
        texture(stylizer, large)


@pytest.mark.parametrize("size", [(1, 1), (31, 200), (33, 35)])
def test_styles_of_any_size_give_textures(stylizer: Stylizer, size: tuple[int, int]) -> None:
    style = torch.rand(3, *size, generator=torch.Generator().manual_seed(0))
    assert texture(stylizer, style, tileable=True).width == 160


def test_invisible_parts_of_a_style_are_not_used(stylizer: Stylizer) -> None:
    pixels = torch.zeros(3, 128, 128, dtype=torch.uint8)
    pixels[0] = torch.randint(256, (128, 128), generator=torch.Generator().manual_seed(0))
    pixels[1, :, 64:] = 255
    alpha = torch.full((1, 128, 128), 255, dtype=torch.uint8)
    alpha[..., 64:] = 0
    made = texture(stylizer, Picture(pixels, alpha)).pixels
    assert made[1].float().mean() < 20


def test_refined_tiles_repeat(stylizer: Stylizer) -> None:
    made = texture(stylizer, size=(64, 64), refine=1, tileable=True)
    plain = texture(stylizer, size=(64, 64), tileable=True)
    assert not torch.equal(made.pixels, plain.pixels)
    across, beside = differences(made.pixels)
    assert across < 1.5 * beside


def test_sixteen_bits_are_computed(stylizer: Stylizer) -> None:
    made = synthesize_texture(stylizer, STYLE, TextureOptions(size=(40, 40), tileable=True), bit_depth=16)
    assert made.bit_depth == 16
    assert (made.pixels.int() % 257 != 0).float().mean() > 0.9


def test_progress_grows_to_the_end(stylizer: Stylizer) -> None:
    shares: list[float] = []
    statistics = stylizer.measure_style(STYLE, style_size=64)
    synthesize_texture(stylizer, statistics, TextureOptions(size=(64, 64)), progress=shares.append)
    assert shares == sorted(shares)
    assert shares[-1] == pytest.approx(1)


@pytest.mark.parametrize(
    "values",
    [
        {"size": (0, 5)},
        {"size": (5,)},
        {"size": 5},
        {"size": (5, 2.5)},
        {"seed": -1},
        {"seed": 1.5},
        {"tileable": 1},
        {"refine": -1},
        {"style_size": 0},
        {"style_weights": (0,)},
    ],
)
def test_options_out_of_range_are_refused(values: dict[str, object]) -> None:
    with pytest.raises(OptionError):
        TextureOptions(**values)  # type: ignore[arg-type]


def test_a_texture_larger_than_memory_is_refused_at_once(stylizer: Stylizer) -> None:
    with pytest.raises(MemoryLimitError):
        texture(stylizer, size=(1_000_000, 1_000_000))
