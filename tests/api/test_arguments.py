"""Whatever a caller may give: pictures of every kind, options, and what is neither."""

from __future__ import annotations

import io
import pickle
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from styletransfer import Stylizer
from styletransfer.errors import ImageError, MemoryLimitError, OptionError, StyleTransferError
from styletransfer.options import RuntimeOptions, StylizeOptions


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
        gaps = memoryview(np.repeat(np.frombuffer(data, np.uint8), 2).tobytes())[::2]
        sources: list[Any] = [data, bytearray(data), memoryview(data), gaps, io.BytesIO(data)]
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
        monkeypatch.setattr("styletransfer.pipeline.process_memory.available_memory", lambda: 2**33)
        sources: list[Any] = [content, torch.rand(3, 20, 30)]
        for source in sources:
            with pytest.raises(MemoryLimitError, match=rf"{size}x\d+ pixels .* make the result smaller"):
                stylizer.stylize(source, style, size=size)

    def test_an_allocation_that_fails_is_a_memory_limit(
        self, stylizer: Stylizer, content: Path, style: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("styletransfer.pipeline.process_memory.available_memory", lambda: None)
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
