"""Test matching: pieces fit together again, choices are continuous, and no piece is stamped all over."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from styletransfer.transfer.patch_matching import (
    NEAREST,
    Matches,
    PatchBank,
    balance_use,
    cut_pieces,
    find_matches,
    paste_pieces,
)


def unit_vectors(count: int, size: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return normalize(torch.randn(count, size, generator=generator), dim=1)


@pytest.mark.parametrize("stride", [1, 2, 4])
@pytest.mark.parametrize("size", [(8, 12), (1, 1), (7, 5)])
def test_pieces_in_their_own_places_make_the_map_again(stride: int, size: tuple[int, int]) -> None:
    features = torch.randn(*size, 3, generator=torch.Generator().manual_seed(0))
    pieces = cut_pieces(features, stride)
    height, width = (-(-length // stride) for length in size)
    assert len(pieces) == height * width
    matches = Matches(torch.arange(len(pieces))[:, None], torch.full((len(pieces), 1), 0.5))
    pasted, weight = paste_pieces(pieces, matches, width, stride)
    torch.testing.assert_close(pasted[: size[0], : size[1]], 0.5 * features)
    torch.testing.assert_close(weight, torch.full_like(weight, 0.5))


def test_the_nearest_patch_weighs_most_and_weights_leave_room_for_the_content() -> None:
    keys = unit_vectors(50, 8, seed=0)
    matches = find_matches(keys, keys, torch.zeros(50))
    assert matches.indices.shape == (50, NEAREST)
    assert torch.equal(matches.indices[:, 0], torch.arange(50))
    assert (matches.weights >= 0).all()
    assert (matches.weights.sum(1) < 1).all()
    assert (matches.weights[:, 0] == matches.weights.amax(1)).all()


@pytest.mark.parametrize("count", [1, 2, NEAREST])
def test_styles_of_few_patches_can_be_matched(count: int) -> None:
    keys = unit_vectors(count, 8, seed=0)
    matches = find_matches(unit_vectors(5, 8, seed=1), keys, torch.zeros(count))
    assert matches.indices.shape == (5, count)
    assert (matches.weights.sum(1) > 0.8).all()


def test_a_score_that_changes_a_little_changes_the_result_a_little() -> None:
    """Try all pairs of candidates on either side of the cut, where a hard choice would jump."""
    generator = torch.Generator().manual_seed(0)
    pieces = torch.randn(300, 6, generator=generator)
    keys = unit_vectors(300, 16, seed=1)
    queries = unit_vectors(2000, 16, seed=2)
    plain, changed = (
        find_matches(queries, keys, 1e-3 * scale * torch.randn(300, generator=generator).clamp(-1, 1))
        for scale in (0, 1)
    )
    moved = [(matches.weights[..., None] * pieces[matches.indices]).sum(1) for matches in (plain, changed)]
    assert (plain.indices != changed.indices).any()  # some choices did change
    assert (moved[0] - moved[1]).abs().max() < 0.35
    assert (moved[0] - moved[1]).abs().mean() < 0.02


def test_equal_patches_share_their_place() -> None:
    """Ties are broken by rounding, so they must not matter."""
    keys = unit_vectors(20, 8, seed=0).repeat(2, 1)
    values = torch.randn(20, 3, generator=torch.Generator().manual_seed(0)).repeat(2, 1)
    queries = unit_vectors(10, 8, seed=1)
    order = torch.randperm(40, generator=torch.Generator().manual_seed(1))
    results = []
    for chosen in (torch.arange(40), order):
        matches = find_matches(queries, keys[chosen], torch.zeros(40))
        results.append((matches.weights[..., None] * values[chosen][matches.indices]).sum(1))
    torch.testing.assert_close(*results)


def use_of(queries: Tensor, keys: Tensor, bias: Tensor) -> Tensor:
    matches = find_matches(queries, keys, bias)
    use = torch.zeros(len(keys)).index_add_(0, matches.indices.flatten(), matches.weights.flatten())
    return use / use.sum()


def test_balancing_spreads_the_use_of_patches() -> None:
    keys = unit_vectors(200, 16, seed=0)
    # Contents that resemble a few patches only.
    queries = normalize(keys[:10].repeat(100, 1) + 0.15 * torch.randn(1000, 16), dim=1)
    shares = torch.full((200,), 1 / 200)
    plain = use_of(queries, keys, torch.zeros(200))
    balanced = use_of(queries, keys, balance_use(queries, keys, shares))
    entropies = [float(-(use * use.clamp_min(1e-9).log()).sum()) for use in (plain, balanced)]
    assert entropies[1] > entropies[0] + 0.1
    assert balanced.max() < 0.9 * plain.max()


def test_shares_of_a_blend_decide_how_much_of_each_style_is_used() -> None:
    banks = [PatchBank.of({0: unit_vectors(100, 16, seed=seed)}, [0]) for seed in (0, 1)]
    queries = unit_vectors(500, 16, seed=2)
    uses = []
    for weights in ([1, 1], [10, 1], [1e6, 1]):
        bank = PatchBank.blend(banks, weights)
        assert float(bank.shares[0].sum()) == pytest.approx(1)
        keys = bank.pieces[0]
        uses.append(float(use_of(queries, keys, balance_use(queries, keys, bank.shares[0]))[100:].sum()))
    assert uses[0] == pytest.approx(0.5, abs=0.1)
    assert uses[1] < 0.4
    assert uses[2] < 0.02


def test_matching_is_weaker_for_styles_whose_pieces_are_alike() -> None:
    different = unit_vectors(200, 64, 0)
    alike = unit_vectors(1, 64, 1) + 0.02 * unit_vectors(200, 64, 2)
    strengths = [
        PatchBank.of({3: (share * alike + (1 - share) * different).half()}, [3]).strength
        for share in (0, 0.4, 0.45, 0.5, 1)
    ]
    assert strengths[0] == 1
    assert strengths[-1] == pytest.approx(0.4)
    assert strengths == sorted(strengths, reverse=True)
    assert len(set(strengths)) > 3
    assert PatchBank.of({3: different[:1]}, [3]).strength == 1
    twice = PatchBank.blend([PatchBank.of({3: different}, [3])] * 2, [1, 3])
    assert twice.strength == 1
    nearly, smooth = (PatchBank.of({3: each}, [3]) for each in (different + 0.001, alike))
    assert PatchBank.blend([PatchBank.of({3: different}, [3]), nearly], [1, 1]).strength == 1
    mixed = PatchBank.blend([nearly, smooth], [3, 1])
    assert mixed.strength == mixed.to("cpu").strength == pytest.approx(0.75 + 0.25 * 0.4)


def test_gradients_reach_queries_keys_and_pieces() -> None:
    queries, keys = unit_vectors(6, 5, seed=0).double(), unit_vectors(9, 5, seed=1).double()
    pieces = torch.randn(9, 9 * 2, dtype=torch.float64, generator=torch.Generator().manual_seed(3))

    def paste(queries: Tensor, keys: Tensor, pieces: Tensor) -> Tensor:
        matches = find_matches(queries, keys, keys.new_zeros(9))
        return paste_pieces(pieces, matches, 3, 1)[0]

    inputs = [each.requires_grad_() for each in (queries, keys, pieces)]
    assert torch.autograd.gradcheck(paste, inputs)


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("size", [(4, 6), (1, 1), (3, 5)])
def test_gradients_flow_through_cutting_and_pasting(stride: int, size: tuple[int, int]) -> None:
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(*size, 2, dtype=torch.float64, generator=generator, requires_grad=True)
    count = len(cut_pieces(features.detach(), stride))
    indices = torch.arange(count).flip(0)[:, None]
    weights = torch.rand(count, 1, dtype=torch.float64, generator=generator, requires_grad=True)

    def move(features: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
        pieces = cut_pieces(features, stride)
        return paste_pieces(pieces, Matches(indices, weights), -(-size[1] // stride), stride)

    assert torch.autograd.gradcheck(move, [features, weights])
