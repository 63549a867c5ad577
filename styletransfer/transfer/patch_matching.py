"""Matching: replace each patch of whitened features by the patches of a style that resemble it most.

Mean and covariance say what a style is made of, but not which piece of paint belongs where. Whitened features
count all directions alike, so that patches of a content and of a style can be compared. The transfer becomes
attention: patches of the content are queries, patches of the style are keys, and what is pasted are the
style's own patches, overlapping.

Sources: Chen & Schmidt 2016 (arXiv 1612.04337), swap of patches; Sheng et al. 2018 (CVPR), swap of whitened
patches. Differs: the choice is soft and continuous, the use of every patch is balanced, and a choice at one
scale also places the finer patches of the same pieces.

Maps here are channels-last, [H, W, C]. A position at one scale covers a cell of stride x stride pixels of a
map that is `stride` times larger; its piece there is the cell with one pixel around it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from ..linalg.device_placement import limit_threads

# Most patches of a style, and of a blend of styles, at each scale. More take time and look the same.
MAX_PATCHES, MAX_BLEND_PATCHES = 1024, 2048
# Positions whose pieces are pasted at a time, to bound the memory.
PASTE_BLOCK = 1024
# Number of pieces that are mixed at each position.
NEAREST = 4
# Difference of cosines at which a patch counts e times less than the nearest.
TEMPERATURE = 0.05
# Share of the content that is kept where the nearest patch is no nearer than the next ones. It makes the
# choice continuous: pieces fade in and out, and a rounded score changes nothing visible.
AMBIGUITY = 0.2
# Steps towards an equal use of all patches, and their length.
BALANCE_STEPS = 2
BALANCE_RATE = 0.5
# Coherence of a style up to which matching is as strong as it can be, and the one from which it is as weak
# as it may be chosen, with that strength; see `PatchBank.strength`.
PAINTED_COHERENCE, SMOOTH_COHERENCE, SMOOTH_STRENGTH = 0.55, 0.75, 0.4
# Least share of its fair use with which a patch is counted; rarer ones are not pushed any further.
LEAST_USE = 0.1


@dataclass(frozen=True, eq=False)
class PatchBank:
    """Whitened patches of a style, or of several.

    Attributes:
        pieces: For each matched scale its pieces [M, P * P * C], see `cut_pieces`.
        shares: For each scale at which matches are chosen, the share [M] of the picture that each patch is
            due. The shares of a scale add up to 1.
        sources: The banks of which a blend was made, with their weights.
    """

    pieces: Mapping[int, Tensor]
    shares: Mapping[int, Tensor]
    sources: Sequence[tuple[PatchBank, float]] = ()

    @classmethod
    def of(cls, pieces: Mapping[int, Tensor], key_scales: Iterable[int]) -> PatchBank:
        """Make a bank whose patches are all due the same share."""
        shares = {scale: torch.full((len(pieces[scale]),), 1 / len(pieces[scale])) for scale in key_scales}
        return cls(pieces, shares)

    @classmethod
    def blend(cls, banks: Sequence[PatchBank], weights: Sequence[float]) -> PatchBank:
        """Join the patches of several styles, each of which is due a share of the picture.

        Args:
            banks: The banks, all of the same model.
            weights: One positive number per bank; only their ratios matter.
        """
        # A style that is given twice is one style. Its copies would take each other's places.
        unlike: list[tuple[PatchBank, float]] = []
        for bank, weight in zip(banks, weights, strict=True):
            found = next((index for index, (other, _) in enumerate(unlike) if bank.equals(other)), None)
            if found is None:
                unlike.append((bank, weight))
            else:
                unlike[found] = unlike[found][0], unlike[found][1] + weight
        banks, weights = zip(*unlike, strict=True)
        if len(banks) == 1:
            return banks[0]
        # Many styles contribute fewer patches each, so that time and memory stay bounded.
        most = MAX_BLEND_PATCHES // len(banks)
        kept = [bank.thin(most) for bank in banks]
        return cls(
            {scale: torch.cat([bank.pieces[scale] for bank in kept]) for scale in kept[0].pieces},
            {
                scale: torch.cat(
                    [
                        bank.shares[scale] * (weight / sum(weights))
                        for bank, weight in zip(kept, weights, strict=True)
                    ]
                )
                for scale in kept[0].shares
            },
            unlike,
        )

    @cached_property
    def strength(self) -> float:
        """Strength of matching that suits the styles, 0..1: the less, the more their pieces are alike.

        Brush strokes, hatching and tesserae differ from place to place, and are worth placing one by one.
        Smooth pictures, such as photographs with skies and backgrounds out of focus, have many pieces that
        are as good as others, and few that are objects, which matching would put where they do not belong.
        That of a blend is the mean of those of its styles, because pieces of two styles may well be alike.
        """
        if self.sources:
            total = sum(weight for _, weight in self.sources)
            return sum(weight / total * bank.strength for bank, weight in self.sources)
        pieces = F.normalize(self.pieces[max(self.pieces)].float(), dim=1)
        if len(pieces) < 2:
            return 1.0
        with limit_threads(pieces):
            nearest = (pieces @ pieces.T).fill_diagonal_(-1).amax(1)
        coherence = float(nearest @ self.shares[max(self.pieces)].to(nearest.device))
        smoothness = (coherence - PAINTED_COHERENCE) / (SMOOTH_COHERENCE - PAINTED_COHERENCE)
        return 1 - (1 - SMOOTH_STRENGTH) * min(max(smoothness, 0.0), 1.0)

    def equals(self, other: PatchBank) -> bool:
        """Return whether another bank holds the same pieces."""
        return self.pieces.keys() == other.pieces.keys() and all(
            torch.equal(pieces, other.pieces[scale]) for scale, pieces in self.pieces.items()
        )

    def thin(self, most: int) -> PatchBank:
        """Return a bank of at most `most` patches per scale, spread evenly over those of this one."""

        def spread(count: int) -> Tensor:
            kept = min(most, count)
            return (torch.arange(kept) + 0.5).mul(count / kept).long()

        pieces = {scale: each[spread(len(each)).to(each.device)] for scale, each in self.pieces.items()}
        shares = {scale: each[spread(len(each)).to(each.device)] for scale, each in self.shares.items()}
        return PatchBank(pieces, {scale: each / each.sum() for scale, each in shares.items()})

    def to(self, device: torch.device | str) -> PatchBank:
        """Return the bank on a device."""
        pieces, shares = (
            {scale: tensor.to(device) for scale, tensor in part.items()}
            for part in (self.pieces, self.shares)
        )
        return PatchBank(pieces, shares, self.sources)


class Matches(NamedTuple):
    """For every position the pieces of a style that are mixed there.

    Attributes:
        indices: Positions in the bank, [..., K].
        weights: Their weights [..., K], not negative; the sum is at most 1, and the rest is the content's.
    """

    indices: Tensor
    weights: Tensor


def find_matches(queries: Tensor, keys: Tensor, bias: Tensor) -> Matches:
    """Find the nearest patches of a style.

    The weights are those of a softmax from which the weight of the first patch that is left out is
    subtracted, so that they are continuous in all scores.

    Args:
        queries: Unit vectors of the content's patches, [N, D], or rows of them, [H, W, D]. Rows are
            multiplied one by one, because products of other numbers of rows would round differently.
        keys: Unit vectors of the style's patches, [M, D].
        bias: Added to all scores of a patch, [M].

    Returns:
        [N, K] or [H, W, K].
    """
    if queries.dim() == 3:
        with limit_threads(queries, len(queries)):
            scores = torch.baddbmm(bias, queries, keys.T.expand(len(queries), -1, -1))
    else:
        scores = torch.addmm(bias, queries, keys.T)
    best, indices = scores.topk(min(NEAREST + 1, len(keys)))
    likelihoods = ((best - best[..., :1]) / TEMPERATURE).exp()
    if len(keys) > NEAREST:
        indices = indices[..., :-1]
        likelihoods = likelihoods[..., :-1] - likelihoods[..., -1:]
    return Matches(indices, likelihoods / (likelihoods.sum(-1, keepdim=True) + AMBIGUITY))


def keep_heaviest(matches: Matches) -> Matches:
    """Keep the `NEAREST` heaviest matches of each position, with the same total weight.

    As in `find_matches`, the weight of the first one that is left out is subtracted from the others, so that
    they are continuous. Where no more have any weight, nothing changes.
    """
    total = matches.weights.sum(-1, keepdim=True)
    best, order = matches.weights.topk(NEAREST + 1)
    kept, rest = best[..., :-1] - best[..., -1:], best[..., -1:]
    factor = total / (kept.sum(-1, keepdim=True) + rest).clamp_min(torch.finfo(kept.dtype).tiny)
    return Matches(matches.indices.gather(-1, order[..., :-1]), kept * factor)


@torch.no_grad()
def balance_use(queries: Tensor, keys: Tensor, shares: Tensor, weights: Tensor | None = None) -> Tensor:
    """Find a bias with which the patches of a style are used as much as they are due.

    Otherwise a few patches would be stamped all over the picture.

    Args:
        queries: Unit vectors of some patches of the content, [N, D].
        keys: Unit vectors of the style's patches, [M, D].
        shares: Share of the picture that each patch is due, [M].
        weights: How much each query counts, [N], not negative; None, or only zeros, if all count alike.

    Returns:
        The bias [M] for `find_matches`.

    Source: Cuturi 2013 (NIPS), entropic optimal transport. Differs: a few steps of half length for the
    style's side only, because not every style has a place for each of its pieces in every picture.
    """
    if weights is None or not weights.any():
        weights = queries.new_ones(len(queries))
    counted = weights > 0
    queries, weights = queries[counted], weights[counted] / weights.sum()
    with limit_threads(queries):
        scores = queries @ keys.T
    bias = unbalanced_bias(shares)
    for _ in range(BALANCE_STEPS):
        use = weights @ torch.softmax((scores + bias) / TEMPERATURE, 1) / shares
        bias = bias - BALANCE_RATE * TEMPERATURE * use.clamp_min(LEAST_USE).log()
    return bias


def unbalanced_bias(shares: Tensor) -> Tensor:
    """Return the bias [M] of patches that are due the shares [M], for a content that is not known."""
    return TEMPERATURE * (shares * len(shares)).log()


def cut_pieces(features: Tensor, stride: int) -> Tensor:
    """Cut a map into the overlapping pieces of all positions of a map that is `stride` times smaller.

    Args:
        features: [H, W, C].
        stride: Pixels per position, in either direction.

    Returns:
        [h * w, P * P * C] with P = stride + 2, h = ceil(H / stride) and w = ceil(W / stride). Beyond its
        border the map continues with copies of the border.
    """
    height, width, channels = features.shape
    missing = -height % stride, -width % stride
    padding = (1, 1 + missing[1], 1, 1 + missing[0])
    padded = F.pad(features.permute(2, 0, 1)[None], padding, mode="replicate")
    pieces: Tensor = _CutOverlaps.apply(padded[0].permute(1, 2, 0), stride)
    return pieces.reshape(-1, (stride + 2) ** 2 * channels)


def paste_pieces(pieces: Tensor, matches: Matches, width: int, stride: int) -> tuple[Tensor, Tensor]:
    """Paste the matched pieces beside each other and average them where they overlap.

    Args:
        pieces: The pieces of the style, [M, P * P * C] with P = stride + 2.
        matches: The matches of some whole rows of positions.
        width: Number of positions in a row.
        stride: Pixels per position, in either direction.

    Returns:
        The mean of the pieces, [h * stride, width * stride, C], and the weight that they have there together,
        0..1, [h * stride, width * stride, 1].
    """
    size = stride + 2
    pasted = F.embedding_bag(matches.indices, pieces, per_sample_weights=matches.weights, mode="sum")
    pasted = pasted.view(-1, width, size, size, pieces.shape[1] // size**2)
    weight = matches.weights.sum(1).view(-1, width, 1, 1, 1).expand(-1, -1, size, size, 1)
    pasted, weight, count = (
        _AddOverlaps.apply(each, stride)[1:-1, 1:-1] for each in (pasted, weight, torch.ones_like(weight))
    )
    return pasted / count, weight / count


class _AddOverlaps(torch.autograd.Function):
    """Add pieces [h, w, P, P, C] where they overlap, to [h * stride + 2, w * stride + 2, C].

    This and `_CutOverlaps` are each other's gradient. Autograd by itself would make a map of zeros for each
    of the P x P slices, which takes ten times as long.
    """

    @staticmethod
    def forward(ctx: Any, pieces: Tensor, stride: int) -> Tensor:
        ctx.stride = stride
        height, width, size, _, channels = pieces.shape
        canvas = pieces.new_zeros(height * stride + 2, width * stride + 2, channels)
        for y in range(size):
            for x in range(size):
                rows = slice(y, y + (height - 1) * stride + 1, stride)
                columns = slice(x, x + (width - 1) * stride + 1, stride)
                canvas[rows, columns] += pieces[:, :, y, x]
        return canvas

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return _CutOverlaps.apply(gradient, ctx.stride), None


class _CutOverlaps(torch.autograd.Function):
    """Cut a map [h * stride + 2, w * stride + 2, C] into the pieces [h, w, P, P, C] that overlap in it."""

    @staticmethod
    def forward(ctx: Any, canvas: Tensor, stride: int) -> Tensor:
        ctx.stride = stride
        size = stride + 2
        return canvas.unfold(0, size, stride).unfold(1, size, stride).permute(0, 1, 3, 4, 2)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return _AddOverlaps.apply(gradient, ctx.stride), None
