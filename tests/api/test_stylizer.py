"""The Python interface: what comes in comes out, and it is what the command line does."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

import styletransfer
from styletransfer import StyleStatistics, Stylizer
from styletransfer.errors import ImageError, OptionError
from styletransfer.media import Picture, picture_from_pil, read_picture, resize_picture
from styletransfer.options import RuntimeOptions, StylizeOptions
from styletransfer.pipeline.device import has_bfloat16
from styletransfer.pipeline.stylization import UNDERPAINTING

EXAMPLES = Path(__file__).parents[2] / "examples"


def test_every_public_name_is_there() -> None:
    for name in styletransfer.__all__:
        assert getattr(styletransfer, name) is not None
    with pytest.raises(AttributeError):
        styletransfer.nonsense  # noqa: B018


def test_kinds_come_out_as_they_went_in(stylizer: Stylizer, content: Path, style: Path) -> None:
    from_path = stylizer.stylize(content, style)
    assert isinstance(from_path, Image.Image)
    assert from_path.size == (44, 30)
    with Image.open(content) as image:
        from_image = stylizer.stylize(image, style)
        tensor = picture_from_pil(image).to_float()
    assert from_image.tobytes() == from_path.tobytes()
    from_tensor = stylizer.stylize(tensor, style)
    assert from_tensor.shape == tensor.shape
    assert stylizer.stylize(tensor[0], style).shape == tensor[0].shape
    assert Picture.from_float(from_tensor).pixels.equal(picture_from_pil(from_path).pixels)
    assert isinstance(stylizer.stylize(picture_from_pil(from_path), style), Picture)


def test_statistics_stand_for_the_style(
    stylizer: Stylizer, content: Path, style: Path, tmp_path: Path
) -> None:
    statistics = stylizer.measure_style(style)
    statistics.save(tmp_path / "style.safetensors")
    pictures = [
        stylizer.stylize(content, given).tobytes()
        for given in (
            style,
            statistics,
            StyleStatistics.load(tmp_path / "style.safetensors"),
            tmp_path / "style.safetensors",
        )
    ]
    assert len(set(pictures)) == 1


def test_options_reach_the_picture(stylizer: Stylizer, content: Path, style: Path) -> None:
    full = stylizer.stylize(content, style)
    assert stylizer.stylize(content, style, alpha=0.5).tobytes() != full.tobytes()
    assert stylizer.stylize(content, style, size=22).size == (22, 15)
    assert stylizer.stylize(content, [style, content], style_weights=(1, 0)).tobytes() == full.tobytes()
    assert stylizer.stylize(content, style, style_size=16).tobytes() != full.tobytes()


def long_edge(path: Path) -> int:
    picture = read_picture(path)
    return max(picture.width, picture.height)


def test_large_strokes_are_painted_small_first(stylizer: Stylizer, style: Path) -> None:
    content = torch.rand(1, 3, 20, 27).mul_(0.5).add_(0.25)
    small = torch.nn.functional.avg_pool2d(content, 2, ceil_mode=True, count_include_pad=False)
    change = UNDERPAINTING * (stylizer.stylize(small, style) - small)
    enlarged = torch.nn.functional.interpolate(change, scale_factor=2, mode="bilinear")[..., :20, :27]
    large, sharp = (
        stylizer.measure_style(resize_picture(read_picture(style), round(factor * long_edge(style))))
        for factor in (2, 2**0.5)
    )
    # The two finest scales are those of a style enlarged by less: its edges are sharper.
    levels = large.levels[0], *sharp.levels[1:3], *large.levels[3:]
    target = replace(large, levels=levels, bank=None)  # patches are matched in the small copy
    expected = stylizer.stylize((content + enlarged).clamp(0, 1), target)
    torch.testing.assert_close(stylizer.stylize(content, style, stroke_scale=2), expected)


def test_large_strokes_show_all_that_the_style_has(stylizer: Stylizer, style: Path) -> None:
    half = long_edge(style) // 2
    measured = stylizer.measure_style(style, style_size=half, stroke_scale=2)
    assert measured.underpainting is not None
    whole, reduced = (stylizer.measure_style(style, style_size=size) for size in (None, half))
    assert measured.levels[4].covariance.equal(whole.levels[4].covariance)
    assert measured.underpainting.levels[4].covariance.equal(reduced.levels[4].covariance)


def test_large_pictures_have_large_strokes_by_themselves(stylizer: Stylizer, style: Path) -> None:
    large = torch.rand(3, 256, 1024, generator=torch.Generator().manual_seed(0))
    result = stylizer.stylize(large, style)
    assert result.equal(stylizer.stylize(large, style, stroke_scale=2))
    assert not result.equal(stylizer.stylize(large, style, stroke_scale=1))
    small = large[..., :1023]
    assert stylizer.stylize(small, style).equal(stylizer.stylize(small, style, stroke_scale=1))


def test_strokes_are_those_of_the_size_that_is_asked_for(
    stylizer: Stylizer, content: Path, style: Path
) -> None:
    large = stylizer.stylize(content, style, size=1024)
    assert large.tobytes() == stylizer.stylize(content, style, size=1024, stroke_scale=2).tobytes()


def test_statistics_keep_their_strokes(stylizer: Stylizer, style: Path) -> None:
    """Where nothing else is asked for, also in a blend with a picture that could have others."""
    large = torch.rand(3, 256, 1024, generator=torch.Generator().manual_seed(0))
    measured = stylizer.measure_style(style)
    assert stylizer.stylize(large, measured).equal(stylizer.stylize(large, style, stroke_scale=1))
    blended = stylizer.stylize(large, [style, measured])
    torch.testing.assert_close(blended, stylizer.stylize(large, measured), atol=1e-3, rtol=0)


def test_large_strokes_leave_colors_that_are_to_be_kept(stylizer: Stylizer, style: Path) -> None:
    grey = torch.rand(1, 1, 24, 24).expand(1, 3, 24, 24)
    result = stylizer.stylize(grey, style, stroke_scale=2, preserve_color="luma")
    torch.testing.assert_close(result, result.mean(1, keepdim=True).expand_as(result), atol=2e-3, rtol=0)


def test_statistics_for_other_strokes_are_refused(stylizer: Stylizer, content: Path, style: Path) -> None:
    measured = stylizer.measure_style(style, stroke_scale=2)
    with pytest.raises(OptionError, match="measured for stroke scale 2, not 1"):
        stylizer.stylize(content, measured, stroke_scale=1)
    with pytest.raises(OptionError, match="different stroke scales"):
        StyleStatistics.blend([measured, stylizer.measure_style(style)], [1, 1])


def test_mistakes_are_named(stylizer: Stylizer, content: Path, style: Path) -> None:
    with pytest.raises(OptionError, match="'alhpa'"):
        stylizer.stylize(content, style, alhpa=1)
    with pytest.raises(OptionError, match="alpha is nan"):
        stylizer.stylize(content, style, alpha=float("nan"))
    with pytest.raises(ImageError, match=r"missing\.jpg"):
        stylizer.stylize("missing.jpg", style)
    with pytest.raises(ImageError, match=r"\[2, 5\]"):
        stylizer.stylize(torch.rand(2, 5), style)
    with pytest.raises(OptionError, match=r"stroke_scale is 2\.5"):
        stylizer.stylize(content, style, stroke_scale=2.5)
    with pytest.raises(OptionError, match="stroke_scale is 0"):
        stylizer.measure_style(style, stroke_scale=0)
    with pytest.raises(OptionError, match=r"size is 22\.0"):
        stylizer.stylize(content, style, size=22.0)
    with pytest.raises(
        OptionError, match=r"a style of 512x512 cannot be enlarged 64 times; .* --style-size 128"
    ):
        stylizer.measure_style(torch.rand(3, 900, 900), stroke_scale=64)
    with pytest.raises(ImageError, match="NaN"):
        stylizer.measure_style(torch.full((3, 1100, 4), torch.nan))
    with pytest.raises(OptionError, match="2 style weights for 1"):
        stylizer.stylize(content, style, style_weights=(1, 2))


def test_convenience_function(content: Path, style: Path) -> None:
    assert styletransfer.stylize(content, style).size == (44, 30)


def test_the_shipped_model_gives_a_picture_back(stylizer: Stylizer) -> None:
    """At alpha 0, and in its own style: weights that do not belong to this decoder would fail here."""
    photograph = read_picture(Path(__file__).parents[2] / "examples" / "content" / "chelsea.jpg").to_float()
    for result in (
        stylizer.stylize(photograph, photograph),
        stylizer.stylize(photograph, photograph, alpha=0),
    ):
        assert -10 * torch.log10(torch.nn.functional.mse_loss(result, photograph)) > 22
    grey = torch.full((3, 64, 64), 0.5)
    assert (stylizer.stylize(grey, grey) - grey).abs().max() < 0.15


def test_tensors_keep_their_precision(stylizer: Stylizer, style: Path) -> None:
    ramp = torch.linspace(0, 1, 64 * 64).view(1, 64, 64).expand(3, -1, -1)
    assert len(set(stylizer.stylize(ramp, style, size=50).flatten().tolist())) > 1000
    assert not stylizer.stylize(ramp, ramp).equal(stylizer.stylize(ramp, (ramp * 255).round() / 255))


@pytest.mark.parametrize(
    "options", [{"alpha": "0.5"}, {"size": "512"}, {"style_weights": 2.0}, {"style_weights": (1, -1)}]
)
def test_wrong_types_are_options_errors(stylizer: Stylizer, style: Path, options: Any) -> None:
    with pytest.raises(OptionError):
        stylizer.stylize(torch.rand(3, 9, 9), style, **options)


def test_results_are_ordinary_tensors(stylizer: Stylizer, style: Path) -> None:
    result = stylizer.stylize(torch.rand(3, 9, 9), style)
    result.mul_(2)
    weight = torch.ones(1, requires_grad=True)
    (result * weight).sum().backward()  # type: ignore[no-untyped-call]
    assert weight.grad is not None


@pytest.mark.parametrize("transform", ["wct", "monge", "adain"])
@pytest.mark.parametrize("scale", [1, 2])
def test_a_gray_style_gives_a_gray_result(stylizer: Stylizer, transform: str, scale: int) -> None:
    artwork = read_picture(EXAMPLES / "style" / "knife.jpg")
    gray = Picture(artwork.pixels[:1].expand(3, -1, -1).contiguous())
    content = resize_picture(read_picture(EXAMPLES / "content" / "china.jpg"), 300)
    for style in (gray, [gray, Picture(255 - gray.pixels)]):
        result = stylizer.stylize(content, style, transform=transform, stroke_scale=scale).pixels.int()
        assert (result.amax(0) - result.amin(0)).max() <= 1
        assert result.float().std() > 10


@pytest.mark.parametrize("transform", ["wct", "monge", "adain"])
def test_colors_are_those_of_the_style(stylizer: Stylizer, transform: str) -> None:
    """The colors that gray styles must not have are not missed elsewhere."""
    style = read_picture(EXAMPLES / "style" / "knife.jpg")
    content = resize_picture(read_picture(EXAMPLES / "content" / "china.jpg"), 300)
    result = stylizer.stylize(content, style, transform=transform)
    expected = style.pixels.flatten(1).float().std(1)
    assert ((result.pixels.flatten(1).float().std(1) / expected - 1).abs() < 0.1).all()


@pytest.mark.skipif(not has_bfloat16(), reason="a processor without bfloat16")
def test_results_of_more_than_8_bits_are_computed_in_float32(
    stylizer: Stylizer, content: Path, style: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "styles"
    mixed = Stylizer("default", runtime=RuntimeOptions(precision="mixed"), style_folder=folder)
    wide, options = read_picture(content).with_bit_depth(16), StylizeOptions()
    fast = mixed.stylize_picture(wide, style, options, bit_depth=8).picture.pixels
    for scale in (1, 2):
        options = StylizeOptions(stroke_scale=scale)
        expected = stylizer.stylize_picture(wide, style, options).picture.pixels
        assert torch.equal(mixed.stylize_picture(wide, style, options).picture.pixels, expected)
    floats = wide.to_float()
    assert torch.equal(mixed.stylize(floats, style), stylizer.stylize(floats, style))
    # Statistics that are kept do not change what the precisions are.
    again = Stylizer("default", runtime=RuntimeOptions(precision="mixed"), style_folder=folder)
    assert torch.equal(again.stylize(floats, style), stylizer.stylize(floats, style))
    assert torch.equal(again.stylize_picture(wide, style, StylizeOptions(), bit_depth=8).picture.pixels, fast)
    measured, exact = mixed.measure_style(style), stylizer.measure_style(style)
    assert measured.levels[-1].covariance.equal(exact.levels[-1].covariance)
