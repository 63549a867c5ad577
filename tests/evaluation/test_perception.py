from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn.functional import pad

from styletransfer.errors import ImageError
from styletransfer.evaluation.perception import content_in, gram_distance, perceive, style_gram, style_pyr
from styletransfer.model.vgg import VGG19

from .conftest import make_picture


def test_a_picture_is_its_own_style_and_content(network: VGG19, content: Tensor) -> None:
    seen = perceive(network, content)
    assert style_gram(seen, seen) == style_pyr(seen, seen) == content_in(seen, seen) == 0


def test_gram_distance_by_its_definition() -> None:
    output = {"relu1_1": torch.tensor([[3.0, 0.0], [0.0, 1.0]]), "relu2_1": torch.tensor([[2.0]])}
    style = {"relu1_1": torch.tensor([[1.0, 2.0], [2.0, 1.0]]), "relu2_1": torch.tensor([[4.0]])}
    assert gram_distance(output, style) == pytest.approx(((4 + 4 + 4) / (1 + 4 + 4 + 1) + 4 / 16) / 2)


def test_style_is_measured_at_three_layers_of_three_octaves(
    network: VGG19, content: Tensor, style: Tensor
) -> None:
    """Once more, straight from the definitions and without the module's own pyramid."""
    distances = []
    for _ in range(3):
        features, wanted = network(content), network(style)
        for layer in ("relu1_1", "relu2_1", "relu3_1"):
            a, b = features[layer][0].double(), wanted[layer][0].double()
            gram_a = torch.einsum("chw,dhw->cd", a, a) / (a.shape[1] * a.shape[2])
            gram_b = torch.einsum("chw,dhw->cd", b, b) / (b.shape[1] * b.shape[2])
            distances.append(((gram_a - gram_b).norm() / gram_b.norm()).item() ** 2)
        content, style = blur_and_halve(content), blur_and_halve(style)
    seen, wanted_seen = perceive(network, make_picture(1)), perceive(network, make_picture(2, 56, 40))
    assert style_gram(seen, wanted_seen) == pytest.approx(sum(distances[:3]) / 3, rel=1e-4)
    assert style_pyr(seen, wanted_seen) == pytest.approx(sum(distances) / 9, rel=1e-4)


def blur_and_halve(picture: Tensor) -> Tensor:
    taps = torch.tensor([1.0, 4.0, 6.0, 4.0, 1.0]) / 16
    windows = pad(picture, (2, 2, 2, 2), "reflect").unfold(2, 5, 2).unfold(3, 5, 2)
    return torch.einsum("bchwij,i,j->bchw", windows, taps, taps)


def test_content_is_structure_not_palette(network: VGG19, content: Tensor) -> None:
    """In a network without biases a darker picture has the same features, scaled."""
    seen = perceive(network, content)
    assert content_in(perceive(network, content * 0.5), seen) < 0.01
    assert content_in(perceive(network, content.flip(3)), seen) > 0.5
    assert content_in(perceive(network, make_picture(5)), seen) == pytest.approx(2, abs=0.4)


def test_distances_depend_on_the_order_of_their_arguments(network: VGG19, content: Tensor) -> None:
    """They are relative to the style: a dull picture is farther from a rich style than the reverse."""
    dull = 0.5 + 0.2 * (content - 0.5)
    rich_seen, dull_seen = perceive(network, content), perceive(network, dull)
    assert style_gram(dull_seen, rich_seen) != pytest.approx(style_gram(rich_seen, dull_seen), rel=0.05)


@pytest.mark.parametrize("size", [(31, 64), (64, 31), (1, 1)])
def test_too_small_to_be_measured(network: VGG19, size: tuple[int, int]) -> None:
    with pytest.raises(ImageError, match="too small to be measured; both sides must have at least 32 pixels"):
        perceive(network, torch.zeros(1, 3, *size))


def test_the_smallest_picture(network: VGG19) -> None:
    seen = perceive(network, make_picture(1, 32, 32))
    assert len(seen.grams) == 3
    assert all(torch.isfinite(matrix).all() for grams in seen.grams for matrix in grams.values())
