from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn.functional import pad

from styletransfer.errors import ImageError
from styletransfer.evaluation.vgg_metrics import (
    content_distance,
    extract_features,
    gram_distance,
    style_deep,
    style_gram,
    style_pyr,
)
from styletransfer.model.vgg import VGG16, VGG19

from .conftest import make_picture


def test_distances_of_a_picture_from_itself_are_zero(network: VGG19, content: Tensor) -> None:
    features = extract_features(network, content)
    assert (
        style_gram(features, features)
        == style_pyr(features, features)
        == content_distance(features, features)
        == 0
    )


def test_gram_distance_follows_its_definition() -> None:
    output = {"relu1_1": torch.tensor([[3.0, 0.0], [0.0, 1.0]]), "relu2_1": torch.tensor([[2.0]])}
    style = {"relu1_1": torch.tensor([[1.0, 2.0], [2.0, 1.0]]), "relu2_1": torch.tensor([[4.0]])}
    assert gram_distance(output, style) == pytest.approx(((4 + 4 + 4) / (1 + 4 + 4 + 1) + 4 / 16) / 2)


def test_style_is_measured_at_three_layers_of_three_octaves(
    network: VGG19, content: Tensor, style: Tensor
) -> None:
    """The expected values follow the definitions, in float64 and without the module's own pyramid."""
    distances = []
    for _ in range(3):
        output, wanted = network(content), network(style)
        for layer in ("relu1_1", "relu2_1", "relu3_1"):
            a, b = output[layer][0].double(), wanted[layer][0].double()
            gram_a = torch.einsum("chw,dhw->cd", a, a) / (a.shape[1] * a.shape[2])
            gram_b = torch.einsum("chw,dhw->cd", b, b) / (b.shape[1] * b.shape[2])
            distances.append(((gram_a - gram_b).norm() / gram_b.norm()).item() ** 2)
        content, style = blur_and_halve(content), blur_and_halve(style)
    features, style_features = (
        extract_features(network, make_picture(1)),
        extract_features(network, make_picture(2, 56, 40)),
    )
    assert style_gram(features, style_features) == pytest.approx(sum(distances[:3]) / 3, rel=1e-4)
    assert style_pyr(features, style_features) == pytest.approx(sum(distances) / 9, rel=1e-4)


def test_deep_style_is_measured_at_two_layers_of_vgg16(
    network: VGG19, deep_network: VGG16, content: Tensor, style: Tensor
) -> None:
    output, wanted = deep_network(content), deep_network(style)
    distances = []
    for layer in ("relu4_1", "relu5_1"):
        a, b = output[layer][0].double().flatten(1), wanted[layer][0].double().flatten(1)
        gram_a, gram_b = a @ a.T / a.shape[1], b @ b.T / b.shape[1]
        distances.append(((gram_a - gram_b).norm() / gram_b.norm()).item() ** 2)
    features = [extract_features(network, picture, deep_network) for picture in (content, style)]
    assert style_deep(*features) == pytest.approx(sum(distances) / 2, rel=1e-4)
    assert style_deep(extract_features(network, content), extract_features(network, style)) is None


def blur_and_halve(picture: Tensor) -> Tensor:
    taps = torch.tensor([1.0, 4.0, 6.0, 4.0, 1.0]) / 16
    windows = pad(picture, (2, 2, 2, 2), "reflect").unfold(2, 5, 2).unfold(3, 5, 2)
    return torch.einsum("bchwij,i,j->bchw", windows, taps, taps)


def test_content_distance_ignores_brightness_and_sees_structure(network: VGG19, content: Tensor) -> None:
    """A network without biases gives a darker picture the same features, scaled down."""
    features = extract_features(network, content)
    assert content_distance(extract_features(network, content * 0.5), features) < 0.01
    assert content_distance(extract_features(network, content.flip(3)), features) > 0.5
    assert content_distance(extract_features(network, make_picture(5)), features) == pytest.approx(2, abs=0.4)


def test_distances_depend_on_the_order_of_their_arguments(network: VGG19, content: Tensor) -> None:
    """Distances are relative to the second argument, the style."""
    dull = 0.5 + 0.2 * (content - 0.5)
    rich_features, dull_features = extract_features(network, content), extract_features(network, dull)
    assert style_gram(dull_features, rich_features) != pytest.approx(
        style_gram(rich_features, dull_features), rel=0.05
    )


@pytest.mark.parametrize("size", [(31, 64), (64, 31), (1, 1)])
def test_small_pictures_are_refused(network: VGG19, size: tuple[int, int]) -> None:
    with pytest.raises(ImageError, match="too small to be measured; both sides must have at least 32 pixels"):
        extract_features(network, torch.zeros(1, 3, *size))


def test_smallest_picture_has_finite_features(network: VGG19) -> None:
    features = extract_features(network, make_picture(1, 32, 32))
    assert len(features.grams) == 3
    assert all(torch.isfinite(matrix).all() for grams in features.grams for matrix in grams.values())
