"""The exported graphs make the pictures that the program makes, at any size."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from styletransfer import Stylizer
from styletransfer.model import Architecture, Autoencoder, LoadedModel
from styletransfer.options import DEFAULT_MATCH, RuntimeOptions
from styletransfer.transfer.patch_matching import PatchBank

from .blending import blend_values, join_pieces
from .conftest import Exported, open_graphs

pytestmark = pytest.mark.usefixtures("extra")


def picture(height: int, width: int, seed: int) -> Tensor:
    """Make a picture [3, H, W] of smooth colors and edges."""
    torch.manual_seed(seed)
    coarse = torch.rand(1, 3, 6, 6)
    smooth = torch.nn.functional.interpolate(coarse, (height, width), mode="bilinear")
    blocks = torch.nn.functional.interpolate(torch.rand(1, 3, 5, 7), (height, width))
    return (0.6 * smooth + 0.4 * blocks)[0]


def levels(found: Any, wanted: Tensor) -> float:
    """Return the largest difference in levels of 255."""
    return float(np.abs(found - wanted.numpy()).max() * 255)


@pytest.fixture(scope="module")
def runner(exported: Exported) -> Any:
    return open_graphs(exported.folder)


@pytest.fixture(scope="module")
def stylizer() -> Stylizer:
    return Stylizer(runtime=RuntimeOptions(device="cpu", precision="fp32"))


@pytest.mark.parametrize(
    ("content", "style", "match"),
    [
        ((96, 128), (80, 90), 0.85),
        ((97, 131), (61, 75), 1.0),
        ((97, 131), (61, 75), 0.0),
        ((3, 700), (80, 90), 0.85),
        ((1, 1), (80, 90), 0.85),
        ((40, 56), (1, 1), 0.85),
        ((40, 56), (24, 24), 0.85),  # fewer pieces than are mixed
    ],
)
def test_pictures_are_those_of_the_program(
    runner: Any, stylizer: Stylizer, content: tuple[int, int], style: tuple[int, int], match: float
) -> None:
    pixels, paint = picture(*content, seed=0), picture(*style, seed=1)
    found = runner.stylize(pixels.numpy(), runner.measure(paint.numpy()), match)
    assert levels(found, stylizer.stylize(pixels, paint, match=match)) < 1


@pytest.mark.parametrize("flat", ["content", "style", "both"])
def test_flat_pictures(runner: Any, stylizer: Stylizer, flat: str) -> None:
    pixels, paint = picture(50, 64, seed=0), picture(64, 40, seed=1)
    pixels = torch.full_like(pixels, 0.3) if flat != "style" else pixels
    paint = torch.full_like(paint, 0.7) if flat != "content" else paint
    found = runner.stylize(pixels.numpy(), runner.measure(paint.numpy()), DEFAULT_MATCH)
    assert levels(found, stylizer.stylize(pixels, paint)) < 1


def test_a_gray_style_tints_nothing(runner: Any, stylizer: Stylizer) -> None:
    pixels, paint = picture(64, 96, seed=0), picture(64, 64, seed=1).mean(0, keepdim=True).expand(3, -1, -1)
    found = runner.stylize(pixels.numpy(), runner.measure(paint.contiguous().numpy()), DEFAULT_MATCH)
    assert levels(found, stylizer.stylize(pixels, paint.contiguous())) < 1
    assert np.ptp(found, axis=0).max() * 255 < 1


def test_values_of_a_style_are_those_that_the_program_measures(runner: Any, stylizer: Stylizer) -> None:
    paint = picture(300, 400, seed=1)  # large enough that pieces are sampled
    values, wanted = runner.measure(paint.numpy()), stylizer.measure_style(paint)
    for level, statistics in enumerate(wanted.levels):
        for name, each in (("mean", statistics.mean), ("covariance", statistics.covariance)):
            expected = each[0].float().numpy()
            np.testing.assert_allclose(
                values[f"{name}_{level}"], expected, atol=1e-4 * np.abs(expected).max()
            )
    assert wanted.colors is not None
    np.testing.assert_allclose(values["colors"], wanted.colors.numpy(), atol=1e-5)
    assert wanted.bank is not None
    for scale, pieces in wanted.bank.pieces.items():
        np.testing.assert_allclose(values[f"pieces_{scale}"], pieces.float().numpy(), atol=0.02, rtol=0.01)
    for scale, shares in wanted.bank.shares.items():
        np.testing.assert_allclose(values[f"shares_{scale}"], shares.numpy(), rtol=1e-6)


@pytest.mark.parametrize("alpha", [0.5, 0.0])
def test_alpha_is_a_blend_outside_of_the_graph(runner: Any, stylizer: Stylizer, alpha: float) -> None:
    pixels, paint = picture(96, 128, seed=0), picture(80, 90, seed=1)
    own, values = runner.measure(pixels.numpy()), runner.measure(paint.numpy())
    values |= blend_values([own, values], [1 - alpha, alpha])
    found = runner.stylize(pixels.numpy(), values, DEFAULT_MATCH * alpha)
    assert levels(found, stylizer.stylize(pixels, paint, alpha=alpha)) < 1


def test_a_blend_of_styles_joins_their_pieces(runner: Any, stylizer: Stylizer) -> None:
    pixels, paints = picture(96, 128, seed=0), [picture(80, 90, seed=1), picture(64, 100, seed=2)]
    first, second = (runner.measure(each.numpy()) for each in paints)
    values = blend_values([first, second], [0.25, 0.75]) | join_pieces([first, second], [0.25, 0.75])
    found = runner.stylize(pixels.numpy(), values, DEFAULT_MATCH)
    assert levels(found, stylizer.stylize(pixels, paints, style_weights=(1, 3))) < 1


def make_model(**changes: Any) -> LoadedModel:
    torch.manual_seed(0)
    architecture = Architecture(widths=(4, 6, 8), convolutions=(1, 1, 1), **changes)
    return LoadedModel(Autoencoder(architecture).eval(), "0" * 64, {})


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"pooling": "max", "negative_slope": 0.2},
        {"key_widths": (0, 0, 5), "match_strengths": (0.0, 0.6, 1.0)},
    ],
)
def test_other_networks_pass_the_comparison(changes: dict[str, Any]) -> None:
    from styletransfer.export.comparison import GraphRunner, compare_with_program
    from styletransfer.export.style_content_graphs import build_content_graph, build_style_graph

    model = make_model(**changes)
    network = model.network
    assert isinstance(network, Autoencoder)
    builders = build_style_graph, build_content_graph
    style, content = (build(network, {}).SerializeToString() for build in builders)
    runner = GraphRunner(style, content, threads=1)
    assert compare_with_program(runner, model).most < 1


def test_graphs_of_another_network_are_refused(runner: Any) -> None:
    from styletransfer.errors import ExportError
    from styletransfer.export.comparison import compare_with_program

    changed = make_model()
    shipped = Autoencoder()
    with pytest.raises(ExportError, match="differ from the program by up to"):
        compare_with_program(runner, changed._replace(network=shipped.eval()))


def test_patch_banks_are_joined_as_the_program_joins_them() -> None:
    banks = [PatchBank.of({4: torch.rand(count, 9)}, [4]) for count in (3, 5)]
    shares = PatchBank.blend(banks, [1, 3]).shares[4]
    torch.testing.assert_close(shares, torch.tensor([0.25 / 3] * 3 + [0.75 / 5] * 5))
