from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize, unfold

from styletransfer.evaluation.vgg_metrics import (
    FeaturePatches,
    PatchDistances,
    extract_features,
    patch_distances,
    sample_patches,
)
from styletransfer.model.vgg import VGG19

from .conftest import make_picture


def make_map(seed: int, height: int = 9, width: int = 12, channels: int = 4) -> Tensor:
    return torch.rand(channels, height, width, generator=torch.Generator().manual_seed(seed))


def compare(output: Tensor, style: Tensor) -> PatchDistances:
    return patch_distances((sample_patches(output),), (sample_patches(style),))


def sort_rows(matrix: Tensor) -> Tensor:
    return matrix[matrix[:, 0].argsort()]


def test_small_maps_give_all_their_patches() -> None:
    features = make_map(0)
    patches, mean = sample_patches(features)
    assert patches.shape == (7 * 10, 4, 9)
    expected = unfold(features[None], 3)[0].T  # [N, C * 9]
    torch.testing.assert_close(sort_rows(patches.flatten(1)), sort_rows(expected), rtol=0, atol=0)
    torch.testing.assert_close(mean, features.mean((1, 2)))


def test_large_maps_give_4096_different_patches_the_same_ones_every_time() -> None:
    features = torch.arange(80.0 * 90).view(1, 80, 90)
    first, second = sample_patches(features).patches, sample_patches(features).patches
    assert torch.equal(first, second)
    assert first.shape == (4096, 1, 9)
    assert len(set(first[:, 0, 0].tolist())) == 4096
    # Drawn from everywhere: the mean of the positions is that of the map.
    assert first[:, 0, 4].mean().item() == pytest.approx(features.mean().item(), rel=0.02)


def test_distances_follow_their_definition() -> None:
    output, style = make_map(1).double(), make_map(2, 6, 7).double()
    mean = style.mean((1, 2), keepdim=True)
    a, b = (normalize(unfold((each - mean)[None], 3)[0].T) for each in (output, style))
    cosines = torch.tensor([[sum(x * y for x, y in zip(p, q, strict=True)) for q in b] for p in a])
    expected = 1 - cosines.max(1).values.mean(), 1 - cosines.max(0).values.mean()
    assert compare(output, style) == pytest.approx([each.item() for each in expected], rel=1e-6)


def test_octaves_count_alike() -> None:
    maps = [(make_map(1), make_map(2)), (make_map(3, 5, 5), make_map(4, 6, 5))]
    outputs, styles = (tuple(map(sample_patches, each)) for each in zip(*maps, strict=True))
    both, alone = patch_distances(outputs, styles), [compare(*pair) for pair in maps]
    assert both.style_patch == pytest.approx(sum(each.style_patch for each in alone) / 2)
    assert both.style_cover == pytest.approx(sum(each.style_cover for each in alone) / 2)


def test_the_two_distances_see_different_faults() -> None:
    """Half of a style has only patches of the style but not all of them. A style and more has the reverse."""
    style, other = make_map(1, 12, 24), make_map(2, 12, 24)
    half = compare(style[:, :, :12], style)
    assert half.style_patch == pytest.approx(0, abs=1e-6)
    assert half.style_cover > 0.05
    more = compare(torch.cat([style, other], dim=2), style)
    assert more.style_cover == pytest.approx(0, abs=1e-6)
    assert more.style_patch > 0.05


def test_an_output_that_matches_nothing_has_distances_near_one() -> None:
    flat = torch.full((4, 9, 12), 0.5)
    flat[:, 4, 6] = 3.0
    style = make_map(1)
    style[:, 4, 6] = -3.0
    assert compare(flat, style).style_patch > compare(make_map(3), style).style_patch
    plain = torch.full((4, 9, 12), 0.5)
    assert compare(plain, plain) == (1, 1)  # nothing is left after the mean is subtracted


def test_at_most_2048_patches_of_the_output_are_compared() -> None:
    style = sample_patches(make_map(1))
    output = sample_patches(make_map(2, 60, 60))
    first = FeaturePatches(output.patches[:2048], output.mean)
    assert len(output.patches) > 2048
    assert patch_distances((output,), (style,)) == patch_distances((first,), (style,))


def test_patches_are_those_of_the_half_and_quarter_size(network: VGG19) -> None:
    features = extract_features(network, make_picture(1, 96, 128))
    assert [len(each.patches) for each in features.patches] == [(12 - 2) * (16 - 2), (6 - 2) * (8 - 2)]


def test_octaves_too_small_for_a_patch_are_left_out(network: VGG19) -> None:
    """A picture of 32 pixels has 2 x 2 features at its quarter size."""
    small, large = (
        extract_features(network, make_picture(seed, side, side)) for seed, side in ((1, 32), (2, 96))
    )
    assert [len(each.patches) for each in small.patches] == [4, 0]
    expected = patch_distances(small.patches[:1], large.patches[:1])
    assert patch_distances(small.patches, large.patches) == expected
