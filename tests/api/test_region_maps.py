"""Masks and maps of labels from Python."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from styletransfer import Stylizer
from styletransfer.errors import OptionError
from styletransfer.media import Picture
from styletransfer.region_maps import RegionMaps, read_levels, resize_masks


def test_masks_of_all_kinds_are_the_same(stylizer: Stylizer, content: Path, style: Path) -> None:
    levels = np.zeros((30, 44, 3), dtype=np.uint8)
    levels[:, 22:] = 255
    image = Image.fromarray(levels)
    expected = stylizer.stylize(content, style, mask=levels).tobytes()
    assert stylizer.stylize(content, style, mask=image).tobytes() == expected
    assert stylizer.stylize(content, style, mask=[levels / 255.0]).tobytes() == expected
    tensor = torch.from_numpy(levels).permute(2, 0, 1) / 255
    assert stylizer.stylize(content, style, mask=tensor).tobytes() == expected
    for flat in (levels[..., 0], levels[..., :1], levels[..., 0] > 0, tensor[0], tensor[:1], tensor[0] > 0):
        assert stylizer.stylize(content, style, mask=flat).tobytes() == expected
    with Image.open(content) as original:
        found = np.asarray(stylizer.stylize(content, style, mask=levels)).astype(int)
        assert (found == np.asarray(original))[:, :22].all()


def test_an_empty_sequence_of_masks(stylizer: Stylizer, content: Path, style: Path) -> None:
    with pytest.raises(OptionError, match="there is no mask in the sequence; give at least one mask"):
        stylizer.stylize(content, style, mask=[])


def test_a_batch_shares_the_mask(stylizer: Stylizer, style: Path) -> None:
    batch = torch.rand(2, 3, 20, 24, generator=torch.Generator().manual_seed(0))
    mask = np.zeros((20, 24, 3))
    mask[:10] = 1
    found = stylizer.stylize(batch, style, mask=mask)
    torch.testing.assert_close(found[:, :, 10:], batch[:, :, 10:], rtol=0, atol=1e-6)
    torch.testing.assert_close(found[1], stylizer.stylize(batch[1], style, mask=mask))


def test_two_masks_with_equal_styles_are_one_region_less(
    stylizer: Stylizer, content: Path, style: Path
) -> None:
    # Each half is measured on its own, so that the halves differ from the whole, but both are painted.
    left = np.zeros((30, 44, 3))
    left[:, :22] = 1
    both = stylizer.stylize(content, [style, style], mask=[left, 1 - left])
    assert both.tobytes() != stylizer.stylize(content, style).tobytes()
    ones = np.ones((30, 44, 3))
    assert stylizer.stylize(content, [style, style], mask=[ones, 0 * ones]).tobytes() == (
        stylizer.stylize(content, style).tobytes()
    )


def test_a_part_of_a_style_is_measured(stylizer: Stylizer, style: Path) -> None:
    mask = np.zeros((40, 32, 3))
    mask[:20] = 1
    part, whole = stylizer.measure_style(style, mask=mask), stylizer.measure_style(style)
    with Image.open(style) as image:
        upper = np.asarray(image)[:20].reshape(-1, 3) / 255
    torch.testing.assert_close(part.levels[0].mean[0], torch.from_numpy(upper.mean(0)), rtol=0, atol=1e-5)
    # The coarsest scale has six positions for 64 channels, so that nearly all is borrowed from the whole.
    borrowed = (part.levels[-1].covariance - whole.levels[-1].covariance).norm()
    assert 0 < borrowed < 0.1 * whole.levels[-1].covariance.norm()
    mask[:], mask[5, 5] = 0, 1
    pixel = stylizer.measure_style(style, mask=mask)
    assert pixel.colors is not None
    assert whole.colors is not None
    own = torch.tensor(np.asarray(Image.open(style))[5, 5] / 255)[:, None].float()
    torch.testing.assert_close(pixel.colors, whole.colors.lerp(own, 1 / 12), rtol=0, atol=1e-5)
    with pytest.raises(OptionError, match="measured on its picture"):
        stylizer.measure_style(whole, mask=mask)


def test_maps_of_labels(stylizer: Stylizer, content: Path, style: Path) -> None:
    colors = np.zeros((30, 44, 3), dtype=np.uint8)
    colors[:, 22:] = (250, 10, 10)
    maps = RegionMaps.open(None, (colors, colors[::-1, ::-1].copy()))
    assert maps is not None
    assert maps.content_masks(30, 44, None).sum(0, dtype=torch.int32).eq(255).all()
    assert maps.missing_colors == []
    stylizer.stylize(content, style, regions=(colors, colors))
    with pytest.raises(OptionError, match="maps of labels for 2 styles"):
        stylizer.stylize(content, [style, style], regions=(colors, colors))
    with pytest.raises(OptionError, match="several regions cannot be refined"):
        stylizer.stylize(content, style, regions=(colors, colors), refine=2)
    with pytest.raises(OptionError, match="two maps"):
        stylizer.stylize(content, style, regions=colors)


def test_a_masked_picture_is_refined(stylizer: Stylizer, content: Path, style: Path) -> None:
    mask = np.zeros((30, 44, 3))
    mask[:, :22] = 1
    with Image.open(content) as image:
        original = np.asarray(image).astype(int)
    plain, refined = (
        np.asarray(stylizer.stylize(content, style, mask=mask, refine=count)).astype(int) for count in (0, 2)
    )
    assert (refined[:, 22:] == original[:, 22:]).all()
    assert np.abs(refined - plain)[:, :22].mean() > 1


def test_masks_shrink_by_area() -> None:
    mask = torch.zeros(1, 4, 4, dtype=torch.uint8)
    mask[0, :2, :2] = 255
    assert resize_masks(mask, 2, 2).tolist() == [[[255, 0], [0, 0]]]
    assert resize_masks(mask, 1, 1).tolist() == [[[64]]]
    assert resize_masks(mask, 8, 1).shape == (1, 8, 1)
    white = torch.full((3, 2, 2), 255, dtype=torch.uint8)
    alpha = torch.tensor([[[255, 0], [128, 0]]], dtype=torch.uint8)
    assert read_levels(Picture(white, alpha)).tolist() == [[[255, 0], [128, 0]]]
