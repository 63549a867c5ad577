"""The Python interface: what comes in comes out, and it is what the command line does."""

from __future__ import annotations

import io
import pickle
from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import styletransfer
from styletransfer import StyleStatistics, Stylizer
from styletransfer.errors import ImageError, MemoryLimitError, OptionError, StyleTransferError
from styletransfer.media import Picture, picture_from_pil, read_picture, resize_picture, write_picture
from styletransfer.options import RuntimeOptions, StylizeOptions
from styletransfer.pipeline.device import has_bfloat16
from styletransfer.pipeline.stylization import UNDERPAINTING

EXAMPLES = Path(__file__).parents[1] / "examples"


@pytest.fixture(scope="module")
def stylizer() -> Stylizer:
    return Stylizer("default", runtime=RuntimeOptions(precision="fp32"))  # the same for 8 bits and for floats


@pytest.fixture
def content(tmp_path: Path) -> Path:
    generator = torch.Generator().manual_seed(0)
    write_picture(Picture.from_float(torch.rand(3, 30, 44, generator=generator)), tmp_path / "content.png")
    return tmp_path / "content.png"


@pytest.fixture
def style(tmp_path: Path) -> Path:
    generator = torch.Generator().manual_seed(1)
    write_picture(Picture.from_float(torch.rand(3, 40, 32, generator=generator) ** 2), tmp_path / "style.png")
    return tmp_path / "style.png"


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
    target = replace(large, levels=(large.levels[0], *sharp.levels[1:3], *large.levels[3:]))
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
    photograph = read_picture(Path(__file__).parents[1] / "examples" / "content" / "chelsea.jpg").to_float()
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


class TestSources:
    """Whatever a caller may hold as a picture."""

    @pytest.fixture
    def array(self, content: Path) -> np.ndarray[Any, Any]:
        return np.asarray(Image.open(content).convert("RGB"))

    def test_arrays(
        self, stylizer: Stylizer, content: Path, style: Path, array: np.ndarray[Any, Any]
    ) -> None:
        expected = stylizer.stylize(content, style).tobytes()
        with Image.open(style) as image:
            style_array = np.asarray(image.convert("RGB"))
        for kind in (array, array / 255, (array / 255).astype(">f4"), array.astype(np.uint16) * 257):
            result = stylizer.stylize(kind, style_array)
            assert isinstance(result, Image.Image)
            difference = np.asarray(result).astype(int).ravel() - np.frombuffer(expected, np.uint8)
            assert np.abs(difference).max() <= 1, kind.dtype
        assert stylizer.stylize(array[::-1, ::-1], style).size == (44, 30)
        with_alpha = np.dstack([array, np.full((30, 44), 100, np.uint8)])
        assert stylizer.stylize(with_alpha, style).getchannel("A").getextrema() == (100, 100)

    def test_bytes_and_files(self, stylizer: Stylizer, content: Path, style: Path) -> None:
        expected = stylizer.stylize(content, style).tobytes()
        data = content.read_bytes()
        sources: list[Any] = [data, bytearray(data), memoryview(data), io.BytesIO(data)]
        for source in sources:
            assert stylizer.stylize(source, style).tobytes() == expected
        with content.open("rb") as file:
            assert stylizer.stylize(file, style.read_bytes()).tobytes() == expected
        with style.open("rb") as file:
            assert stylizer.stylize(content, [file]).tobytes() == expected

    def test_batches_are_stylized_one_by_one(self, stylizer: Stylizer, style: Path) -> None:
        batch = torch.rand(3, 3, 20, 24, generator=torch.Generator().manual_seed(0))
        reports: list[float] = []
        result = stylizer.stylize(batch, style, progress=reports.append)
        assert result.shape == batch.shape
        for one, made in zip(batch, result, strict=True):
            torch.testing.assert_close(made, stylizer.stylize(one, style))
        assert reports == sorted(reports)
        assert reports[-1] == pytest.approx(1)
        assert stylizer.stylize(batch, style, size=12).shape == (3, 3, 10, 12)

    @pytest.mark.parametrize(
        ("source", "message"),
        [
            (None, "NoneType is not a picture"),
            (3, "int is not a picture"),
            ([[0]], "list is not a picture"),
            (object(), "object is not a picture"),
            (b"", "the file is empty"),
            (b"no picture at all", "not a picture in a known format"),
            (io.StringIO("text"), "opened as text"),
            (np.zeros((5, 5), np.uint8), r"an array \[5, 5\] of uint8"),
            (np.zeros((0, 5, 3), np.uint8), r"an array \[0, 5, 3\]"),
            (np.zeros((5, 5, 3), np.int64), "of int64"),
            (np.zeros((5, 5, 3), complex), "of complex128"),
            (np.array([[[None] * 3]]), "of object"),
            (np.full((5, 5, 3), np.nan), "NaN"),
            (np.full((5, 5, 3), np.inf), "NaN"),
            (np.full((5, 5, 3), 200.0), "floats up to 200; give floats in 0..1"),
            (torch.full((3, 5, 5), torch.nan), "NaN"),
            (torch.rand(3, 5, 5).mul(255).to(torch.uint8), "of torch.uint8"),
            (torch.empty(3, 5, 5, device="meta"), "without pixels"),
            (torch.rand(3, 5, 5).to_sparse(), "without pixels"),
            (torch.rand(0, 3, 5, 5), r"a tensor \[0, 3, 5, 5\]"),
        ],
    )
    def test_anything_else_is_an_error_for_users(
        self, stylizer: Stylizer, style: Path, source: Any, message: str
    ) -> None:
        with pytest.raises(ImageError, match=message):
            stylizer.stylize(source, style)
        if not isinstance(source, list):
            with pytest.raises(ImageError, match=message):
                stylizer.measure_style(source)

    def test_a_closed_file(self, stylizer: Stylizer, style: Path) -> None:
        with style.open("rb") as file:
            pass
        with pytest.raises(ImageError, match=r"style\.png"):
            stylizer.stylize(file, style)

    @pytest.mark.parametrize("size", [60_000, 300_000, 1_000_000])
    def test_sizes_beyond_memory(
        self, stylizer: Stylizer, content: Path, style: Path, size: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("styletransfer.pipeline.memory.available_memory", lambda: 2**33)
        sources: list[Any] = [content, torch.rand(3, 20, 30)]
        for source in sources:
            with pytest.raises(MemoryLimitError, match=rf"{size}x\d+ pixels .* make the result smaller"):
                stylizer.stylize(source, style, size=size)

    def test_an_allocation_that_fails_is_a_memory_limit(
        self, stylizer: Stylizer, content: Path, style: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("styletransfer.pipeline.memory.available_memory", lambda: None)
        with pytest.raises(MemoryLimitError, match="out of memory while 1000000x"):
            stylizer.stylize(content, style, size=1_000_000)


class TestStylizers:
    @pytest.mark.parametrize("device", ["cpu", torch.device("cpu")])
    def test_a_device_by_name(self, device: Any) -> None:
        assert Stylizer(device=device).device == "cpu"
        runtime = RuntimeOptions(device="cuda:77", precision="fp32")
        assert Stylizer(device=device, runtime=runtime).precision == "fp32"

    def test_pickling_keeps_the_results(self, content: Path, style: Path) -> None:
        stylizer = Stylizer("default", runtime=RuntimeOptions(precision="fp32", device="cpu"), stop=Event())
        again = pickle.loads(pickle.dumps(stylizer))
        assert repr(again) == repr(stylizer) == "Stylizer('default', device='cpu', precision='fp32')"
        assert again.stylize(content, style).tobytes() == stylizer.stylize(content, style).tobytes()

    @pytest.mark.parametrize(
        "arguments",
        [
            {"model": None},
            {"model": 3},
            {"model": b"default"},
            {"device": "gpu"},
            {"device": 3},
            {"runtime": {"device": "cpu"}},
            {"stop": 3},
        ],
    )
    def test_wrong_arguments(self, arguments: dict[str, Any]) -> None:
        with pytest.raises(OptionError, match=next(iter(arguments))):
            Stylizer(**arguments)

    def test_progress_can_cancel(self, stylizer: Stylizer, style: Path) -> None:
        class EnoughError(Exception):
            pass

        def cancel(share: float) -> None:
            if share > 0.3:
                raise EnoughError

        with pytest.raises(EnoughError):
            stylizer.stylize(torch.rand(3, 300, 300), style, progress=cancel)
        number: dict[str, Any] = {"progress": 3}
        dictionary: dict[str, Any] = {"options": {"alpha": 1}}
        with pytest.raises(OptionError, match="progress is 3"):
            stylizer.stylize(torch.rand(3, 9, 9), style, **number)
        with pytest.raises(OptionError, match="options is"):
            stylizer.stylize(torch.rand(3, 9, 9), style, **dictionary)

    @pytest.mark.parametrize(
        "weights", [[2, 1], (2, 1), np.array([2, 1]), torch.tensor([2.0, 1.0]), range(2, 0, -1)]
    )
    def test_style_weights_are_any_sequence(
        self, stylizer: Stylizer, content: Path, style: Path, weights: Any
    ) -> None:
        expected = stylizer.stylize(content, [style, content], style_weights=(2, 1))
        result = stylizer.stylize(content, (style, content), style_weights=weights)
        assert result.tobytes() == expected.tobytes()

    @pytest.mark.parametrize(
        "weights",
        [
            *("21", 2, {}, [None, 1], [float("nan"), 1], [[1], [2]]),
            *(np.array(2.0), torch.tensor(1.0), np.ones((1, 2))),
        ],
    )
    def test_other_style_weights_are_refused(self, weights: Any) -> None:
        with pytest.raises(OptionError, match=r"style.weight"):
            StylizeOptions(style_weights=weights)

    @pytest.mark.parametrize("styles", [None, [], [None], 4, {"a"}])
    def test_what_is_no_style(self, stylizer: Stylizer, content: Path, styles: Any) -> None:
        with pytest.raises(StyleTransferError):
            stylizer.stylize(content, styles)


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
