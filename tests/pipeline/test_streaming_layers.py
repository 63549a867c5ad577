"""Test the streamed layers, and that what they assume about PyTorch's internals still holds."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn.functional import conv2d, pad

from styletransfer.linalg.device_placement import SMALL_INPUT
from styletransfer.model import Architecture
from styletransfer.pipeline import streaming_layers
from styletransfer.pipeline.streaming_layers import SIMD_WIDTH, ConvolvedMap, ConvParameters

from .fixed_map import FixedMap

# What `torch.backends.cpu.get_cpu_capability` may return, with the float32 values of an instruction.
CAPABILITIES = {
    "AVX512": 16,
    "AVX2": 8,
    "DEFAULT": 4,
    "NO AVX": 4,
    "VSX": 4,
    "Z VECTOR": 4,
    "SVE256": 4,
}
needs_onednn = pytest.mark.skipif(
    not torch.backends.mkldnn.is_available(),  # type: ignore[no-untyped-call]
    reason="this build of PyTorch has no oneDNN, so it has a single algorithm for convolutions",
)


def test_folding_a_map_equals_applying_it_before_the_convolution() -> None:
    generator = torch.Generator().manual_seed(0)
    weight, matrix, features = (
        torch.randn(*size, generator=generator, dtype=torch.float64)
        for size in ((5, 4, 3, 3), (4, 4), (1, 4, 6, 7))
    )
    bias, offset = torch.arange(5.0).double(), torch.arange(4.0).double()
    parameters = ConvParameters(weight, bias)
    mapped = torch.einsum("dc,bchw->bdhw", matrix, features) + offset.view(4, 1, 1)
    expected, found = (
        conv2d(pad(values, (1, 1, 1, 1), mode="replicate"), *each)
        for values, each in ((mapped, parameters), (features, parameters.fold_map(matrix, offset)))
    )
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize(
    ("width", "channels", "count"), [(8, 3, 4), (9, 3, 3), (10, 3, 2), (11, 3, 1), (8, 16, 1)]
)
def test_grouped_pixels_equal_pixels_that_are_computed_one_by_one(
    monkeypatch: pytest.MonkeyPatch, width: int, channels: int, count: int
) -> None:
    monkeypatch.setattr(streaming_layers, "SIMD_WIDTH", 16)
    generator = torch.Generator().manual_seed(0)
    features = torch.rand(5, width, 6, generator=generator)
    weight = torch.randn(channels, 6, 3, 3, generator=generator)
    bias = torch.rand(channels, generator=generator)
    convolved = ConvolvedMap(FixedMap(features), ConvParameters(weight, bias), negative_slope=1)
    padded = pad(features.permute(2, 0, 1)[None], (1, 1, 1, 1), mode="replicate")
    expected = conv2d(padded, weight, bias)[0].permute(1, 2, 0)
    assert convolved.grouped == count
    torch.testing.assert_close(convolved.reader().read(0, 5), expected)


def channels_last(*size: int) -> Tensor:
    """Return random numbers [B, C, H, W], channels last, always the same."""
    numbers = torch.randn(*size, generator=torch.Generator().manual_seed(0))
    return numbers.contiguous(memory_format=torch.channels_last)


@needs_onednn
@pytest.mark.skipif(
    not hasattr(torch._C, "_select_conv_backend"), reason="this PyTorch does not tell which algorithm it uses"
)
def test_pytorch_switches_the_convolution_algorithm_where_small_input_says() -> None:
    weight = channels_last(4, 4, 3, 3)

    def select(height: int) -> object:
        picture = channels_last(1, 4, height, 40)
        return torch._C._select_conv_backend(picture, weight, None, [1, 1], [0, 0], [1, 1], False, [0, 0], 1)

    rows = SMALL_INPUT // (4 * 40)
    assert 4 * rows * 40 == SMALL_INPUT
    advice = "PyTorch has changed: compare device_placement.SMALL_INPUT with Convolution.cpp, use_mkldnn"
    assert select(rows) == select(rows // 4), advice
    assert select(rows) != select(rows + 1), advice
    assert select(rows + 1) == select(10 * rows), advice


@needs_onednn
@pytest.mark.skipif(
    torch.backends.cpu.get_cpu_capability() not in {"AVX2", "AVX512"},
    reason="only x86 processors are known to convolve all larger strips alike to the last bit",
)
@pytest.mark.parametrize(("inputs", "outputs"), [(3, 16), (16, 16), (64, 64), (64, 128), (128, 64), (32, 16)])
def test_strips_above_small_input_round_like_the_whole_picture(inputs: int, outputs: int) -> None:
    assert {inputs, outputs} <= {3, *Architecture().widths}
    width = max(1, SMALL_INPUT // (16 * inputs))
    features = channels_last(1, inputs, 64, width)
    weight, bias = channels_last(outputs, inputs, 3, 3), torch.randn(outputs)
    whole = conv2d(features, weight, bias)
    for rows in range(SMALL_INPUT // (inputs * width) + 1, 64, 5):
        assert inputs * rows * width > SMALL_INPUT
        strip = conv2d(features[:, :, :rows], weight, bias)
        assert torch.equal(strip, whole[:, :, : rows - 2]), f"{rows} rows of {width} pixels"


def test_the_processor_s_capability_is_one_that_simd_width_knows() -> None:
    capability = torch.backends.cpu.get_cpu_capability()
    assert capability in CAPABILITIES, (
        f"PyTorch calls this processor {capability!r}; add it to SIMD_WIDTH in streaming_layers"
    )
    assert CAPABILITIES[capability] == SIMD_WIDTH
