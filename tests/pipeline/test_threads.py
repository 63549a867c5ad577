"""Test that the number of processor threads changes no pixel: strips, copies, colors, precisions, regions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from styletransfer import Stylizer
from styletransfer.linalg.device_placement import limit_threads
from styletransfer.linalg.eigh import decompose_symmetric
from styletransfer.media import Picture
from styletransfer.options import Precision, RuntimeOptions
from styletransfer.pipeline.regions import map_rows
from styletransfer.pipeline.resampling import upsample_strips
from styletransfer.transfer.patch_matching import balance_use, find_matches

from .test_network_runner import make_picture

COUNTS = [2, 3, 5, 16]


def assert_same_for_all_counts(compute: Callable[[], Tensor]) -> None:
    """Compute with one thread and with others, and compare bit by bit."""
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        expected = compute()
        for count in COUNTS:
            torch.set_num_threads(count)
            assert torch.equal(compute(), expected), count
            assert torch.get_num_threads() == count
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize(
    ("size", "model", "precision", "changes"),
    [
        ((87, 131), "default", "fp32", {}),
        ((370, 87), "default", "fp32", {}),  # a last strip of one row of matches
        ((32, 665), "default", "fp32", {"alpha": 0.3}),
        ((203, 301), "default", "mixed", {"match": 1.0}),
        ((121, 90), "default", "bf16", {"preserve_color": "palette"}),
        ((301, 200), "default", "auto", {"stroke_scale": 3}),
        ((131, 87), "default", "auto", {"passes": 2, "preserve_color": "luma"}),
        ((131, 87), "default", "auto", {"transform": "monge"}),
        ((131, 87), "photo", "auto", {}),
        ((430, 407), "photo", "mixed", {"alpha": 0.4}),
        ((20, 23), "photo", "fp32", {}),
    ],
)
def test_the_number_of_threads_changes_no_pixel(
    size: tuple[int, int], model: str, precision: Precision, changes: dict[str, Any]
) -> None:
    content, style = make_picture(*size, seed=0), make_picture(79, 73, seed=1)

    def compute() -> Tensor:
        stylizer = Stylizer(model, runtime=RuntimeOptions(device="cpu", precision=precision))
        return stylizer.stylize(Picture(content), Picture(style), **changes).pixels

    assert_same_for_all_counts(compute)


def test_the_number_of_threads_changes_no_pixel_of_blends_of_hidden_pixels() -> None:
    opacity = torch.zeros(1, 131, 87, dtype=torch.uint8)
    opacity[:, 30:, 50:] = 255
    content = Picture(make_picture(131, 87, seed=0), opacity)
    styles = [Picture(make_picture(60 + 30 * seed, 70, seed=seed)) for seed in (1, 2)]

    def compute() -> Tensor:
        stylizer = Stylizer(runtime=RuntimeOptions(device="cpu"))
        return stylizer.stylize(content, styles, style_weights=(0.3, 0.7)).pixels

    assert_same_for_all_counts(compute)


def test_the_number_of_threads_changes_no_pixel_of_regions() -> None:
    content, styles = make_picture(131, 87, seed=0), [make_picture(60, 70, seed=seed) for seed in (1, 2)]
    upper = make_picture(131, 87, seed=3)[:1].double() / 255

    def compute() -> Tensor:
        stylizer = Stylizer(runtime=RuntimeOptions(device="cpu"))
        masks = [upper[0], 1 - upper[0]]
        return stylizer.stylize(Picture(content), [Picture(style) for style in styles], mask=masks).pixels

    assert_same_for_all_counts(compute)


def test_products_of_few_rows_do_not_depend_on_threads() -> None:
    torch.manual_seed(0)
    for rows, width, patches in [(1, 11, 1020), (2, 40, 700), (3, 64, 33), (1, 101, 1024)]:
        queries = torch.nn.functional.normalize(torch.randn(rows, width, 128), dim=2)
        keys = torch.nn.functional.normalize(torch.randn(patches, 128), dim=1)
        shares = torch.full((patches,), 1 / patches)
        matrix, offset = torch.randn(128, 128), torch.randn(128)
        assert_same_for_all_counts(lambda q=queries, k=keys, s=shares: find_matches(q, k, s).weights)  # type: ignore[misc]
        assert_same_for_all_counts(lambda q=queries, k=keys, s=shares: balance_use(q.flatten(0, 1), k, s))  # type: ignore[misc]
        assert_same_for_all_counts(lambda q=queries, m=matrix, o=offset: map_rows(q, m, o))  # type: ignore[misc]


@pytest.mark.parametrize("channels", [3, 64, 128, 200])
def test_decompositions_do_not_depend_on_threads(channels: int) -> None:
    torch.manual_seed(0)
    factor = torch.randn(channels, 2 * channels, dtype=torch.float64)
    covariance = factor @ factor.T
    assert_same_for_all_counts(
        lambda: torch.cat([part.flatten() for part in decompose_symmetric(covariance)])
    )


def test_upsampling_does_not_depend_on_threads() -> None:
    for channels, height, width, factor in [
        (3, 159, 275, 2),
        (1, 31, 40, 3),
        (3, 5, 900, 4),
        (12, 40, 33, 8),
    ]:
        maps = torch.rand(channels, height, width)
        assert_same_for_all_counts(
            lambda m=maps, f=factor: torch.cat([strip for _, strip in upsample_strips(m, f)], 1)  # type: ignore[misc]
        )


def test_a_limit_of_threads_ends_with_its_block() -> None:
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(4)
        with limit_threads(torch.zeros(1), 2):
            assert torch.get_num_threads() == 2
        assert torch.get_num_threads() == 4
        with limit_threads(torch.zeros(1), 8):
            assert torch.get_num_threads() == 4
        with pytest.raises(ZeroDivisionError), limit_threads(torch.zeros(1)):
            1 / 0  # noqa: B018
        assert torch.get_num_threads() == 4
    finally:
        torch.set_num_threads(before)
