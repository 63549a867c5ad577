"""Matching as streamed maps, and samples of a map's patches; see `transfer.matching`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor

from ..linalg import Statistics
from ..model.autoencoder import Decoder
from ..transfer import whitening_map
from ..transfer.matching import (
    MAX_PATCHES,
    NEAREST,
    PASTE_BLOCK,
    Matches,
    PatchBank,
    balance_use,
    find_matches,
    paste_pieces,
)
from .resampling import white_level
from .streaming import FeatureMap, MapShape
from .streaming_layers import ConvParameters

# Most positions that are matched at a time: 512 x 1024 scores stay in a processor's cache.
MATCH_BLOCK = 512
# Number of styles that are kept ready for matching, some 11 MB each.
PREPARED_BANKS = 4


class ScaleMatching(NamedTuple):
    """What is matched at one scale.

    Attributes:
        pieces: Pieces of the style, [M, P * P * C].
        stride: Pixels of this scale per position of the scale at which they are chosen.
        strength: Share of the pieces, 0..1.
        keys: Unit vectors of the style's patches, [M, D]; None where matches are taken from a coarser scale.
        bias: Added to all scores of a patch, [M]; None as for `keys`, and while the content is unknown.
        matrix: Whitening of the merged map, [C, C]; empty while the content is unknown.
        offset: Its offset, [C]; likewise.
    """

    pieces: Tensor
    stride: int
    strength: float
    keys: Tensor | None = None
    bias: Tensor | None = None
    matrix: Tensor = torch.empty(0)
    offset: Tensor = torch.empty(0)


class MatchesMap(FeatureMap):
    """The nearest patches of the style: their indices, then their weights, as float32 [H, W, 2 K].

    Args:
        queries: Keys of the content's patches, of any length.
        matching: The patches of the style.
    """

    def __init__(self, queries: FeatureMap, matching: ScaleMatching) -> None:
        assert matching.keys is not None
        assert matching.bias is not None
        self.keys, self.bias = matching.keys, matching.bias
        self.count = min(NEAREST, len(self.keys))
        shape = queries.shape._replace(channels=2 * self.count, dtype=torch.float32)
        super().__init__(shape, [queries.reader()])

    def compute(self, start: int, stop: int, out: Tensor | None) -> Tensor:
        """Match rows."""
        queries = torch.nn.functional.normalize(self.sources[0].read(start, stop).float(), dim=2)
        out = self.shape.allocate(stop - start) if out is None else out
        # Products round differently for other numbers of rows, so that every row is matched alone.
        for row, target in zip(queries, out, strict=True):
            for first in range(0, len(row), MATCH_BLOCK):
                block = slice(first, first + MATCH_BLOCK)
                indices, weights = find_matches(row[block], self.keys, self.bias)
                target[block, : self.count], target[block, self.count :] = indices, weights
        return out


class MatchedMap(FeatureMap):
    """A merged map, whitened and mixed with the matched pieces of the style.

    Args:
        matches: A MatchesMap, of this scale or of a coarser one.
        merged: The merged map.
        matching: The whitening, and the pieces of the style.
        dtype: Type of the result, which is computed in float32 and rounded once.
    """

    def __init__(
        self, matches: FeatureMap, merged: FeatureMap, matching: ScaleMatching, dtype: torch.dtype
    ) -> None:
        super().__init__(merged.shape._replace(dtype=dtype), [matches.reader(margin=1), merged.reader()])
        self.matching = matching
        self.step = matching.stride
        self.positions_shape: MapShape = matches.shape

    def compute(self, start: int, stop: int, out: Tensor | None) -> Tensor:
        """Whiten rows and paste the pieces."""
        stride = self.matching.stride
        height, width, channels, *_ = self.positions_shape
        first, last = start // stride, -(-stop // stride)
        # Beyond the border there are no matches. The copies of the border there are not read.
        above, below = min(1, first), min(1, height - last)
        found = self.sources[0].read(first, last)[1 - above : last - first + 1 + below, 1:-1]
        merged = self.sources[1].read(start, stop).float()
        matrix = self.matching.matrix.T.expand(len(merged), -1, -1)
        white = torch.baddbmm(self.matching.offset, merged, matrix)
        out = self.shape.allocate(stop - start) if out is None else out
        rows = max(1, PASTE_BLOCK // width)
        for top in range(first, last, rows):
            bottom = min(top + rows, last)
            # One more row of positions above and below, where there is one, overlaps these.
            low, high = max(top - 1, 0), min(bottom + 1, height)
            block = found[low - first + above : high - first + above].flatten(0, 1)
            count = channels // 2
            matches = Matches(block[:, :count].long(), block[:, count:].contiguous())
            pasted, weight = paste_pieces(self.matching.pieces, matches, width, stride)
            inner = slice(
                (top - low) * stride, (top - low) * stride + min(bottom * stride, stop) - top * stride
            )
            pasted, weight = (part[inner, : self.shape.width] for part in (pasted, weight))
            own = white[top * stride - start :][: len(pasted)]
            mixed = own + self.matching.strength * (pasted - weight * own)
            out[top * stride - start :][: len(pasted)] = mixed
        return out


class PatchMatcher:
    """Prepares the patches of styles and of contents for matching.

    Args:
        decoder: The network's decoder, which knows the keys.
        device: Device of the maps.
    """

    def __init__(self, decoder: Decoder, device: torch.device) -> None:
        self.architecture, self.device = decoder.architecture, device
        self._decoder = decoder
        self._prepare_bank = lru_cache(PREPARED_BANKS)(self._convert_bank)

    def release(self) -> None:
        """Forget the styles that are kept ready."""
        self._prepare_bank.cache_clear()

    def piece_stride(self, scale: int) -> int:
        """Return the pixels of a scale per position at which its pieces are chosen."""
        key_scale = self.architecture.key_scale(scale)
        return 1 if key_scale is None else 1 << (key_scale - scale)

    def build_bank(
        self, pieces: Mapping[int, Tensor], size: Sequence[int], alpha: Tensor | None
    ) -> PatchBank:
        """Build the bank of a style, in half precision, of pieces from its visible parts.

        Args:
            pieces: Whitened pieces [M, P * P * C] at the positions of a `PatchSampler`, by scale.
            size: Height and width of the style.
            alpha: Its opacity [1, H, W]; None if all pixels are opaque.
        """
        kept: dict[int, Tensor] = {}
        for scale, each in pieces.items():
            key_scale = self.architecture.key_scale(scale)
            assert key_scale is not None
            visible = slice(None) if alpha is None else find_visible_positions(size, key_scale, alpha)
            kept[scale] = each[visible].half()
        return PatchBank.of(kept, self.architecture.key_scales)

    def prepare(
        self, bank: PatchBank, match: float, scale: int, found: Statistics, patches: Tensor
    ) -> tuple[ScaleMatching, ConvParameters | None]:
        """Prepare the matching of a scale.

        Args:
            bank: Patches of the style.
            match: Factor for the strength of matching, 0..1.
            scale: The scale.
            found: Statistics of the content's merged map.
            patches: Some of its patches, [N, 3, 3, C].

        Returns:
            What is matched, and the convolution from the merged map to its keys; None where matches are taken
            from a coarser scale.
        """
        matrix, offset = (part[0] for part in whitening_map(found))
        ready = self._prepare_bank(bank)[scale]._replace(
            matrix=matrix.float().to(self.device), offset=offset.float().to(self.device)
        )
        ready = ready._replace(strength=match * ready.strength)
        if ready.keys is None:
            return ready, None
        queries = self._decoder.find_keys(whiten_patches(patches, found), scale).to(self.device)
        weight = self._decoder.key_weight(scale).detach().double()
        keys = ConvParameters(weight, weight.new_zeros(len(weight))).fold_map(matrix, offset)
        shares = bank.shares[scale].to(self.device)
        return ready._replace(bias=balance_use(queries, ready.keys, shares)), keys

    def _convert_bank(self, bank: PatchBank) -> dict[int, ScaleMatching]:
        """Prepare what does not depend on the content."""
        ready: dict[int, ScaleMatching] = {}
        for scale, half in bank.pieces.items():
            pieces = half.cpu().float()
            strength = self.architecture.match_strengths[scale]
            ready[scale] = ScaleMatching(pieces.to(self.device), self.piece_stride(scale), strength)
            if self.architecture.key_scale(scale) == scale:
                keys = self._decoder.find_keys(pieces, scale).to(self.device)
                ready[scale] = ready[scale]._replace(keys=keys)
        return ready


class PatchSampler:
    """The pieces of a streamed map at some positions that are spread evenly over it.

    Args:
        source: The map, before any of its rows is computed.
        stride: Pixels of the map per position.
        most: Largest number of positions.
    """

    def __init__(self, source: FeatureMap, stride: int, most: int) -> None:
        height, width, channels, _, device = source.shape
        size = stride + 2
        self.rows, self.columns = (
            _clamp_neighbors(positions, stride, length)
            for positions, length in zip(
                spread_positions(-(-height // stride), -(-width // stride), most),
                (height, width),
                strict=True,
            )
        )
        shape = len(self.rows), len(self.columns), size, size, channels
        self.pieces = torch.empty(shape, dtype=torch.float32, device=device)
        self.columns = self.columns.flatten().to(device)
        source.observers.append(self._add)

    def _add(self, start: int, rows: Tensor) -> None:
        """Copy what belongs to sampled pieces from rows [h, W, C]."""
        wanted = (self.rows >= start) & (self.rows < start + len(rows))
        for position, offset in wanted.nonzero().tolist():
            row = rows[int(self.rows[position, offset]) - start]
            self.pieces[position, :, offset] = row[self.columns].view(-1, *self.pieces.shape[3:])

    def result(self) -> Tensor:
        """Return the pieces [M, P, P, C], P = stride + 2."""
        return self.pieces.flatten(0, 1)


def spread_positions(height: int, width: int, most: int) -> tuple[Tensor, Tensor]:
    """Spread at most `most` positions evenly over a map and return their rows and columns."""
    share = min(1.0, (most / (height * width)) ** 0.5)
    rows = min(max(1, int(share * height)), most)
    columns = min(width, most // max(1, rows))
    return _spread(rows, height), _spread(columns, width)


def _spread(count: int, length: int) -> Tensor:
    return (torch.arange(count) + 0.5).mul(length / max(1, count)).long()


def _clamp_neighbors(positions: Tensor, stride: int, length: int) -> Tensor:
    """Return the pixels [N, stride + 2] of pieces along one direction; the border repeats beyond it."""
    return (positions[:, None] * stride + torch.arange(-1, stride + 1)).clamp(0, length - 1)


def whiten_patches(patches: Tensor, found: Statistics) -> Tensor:
    """Whiten patches [N, P, P, C] with the statistics of their map; return [N, P * P * C] on the CPU."""
    matrix, offset = whitening_map(found)
    white = torch.addmm(offset[0].float(), patches.cpu().flatten(0, 2), matrix[0].float().T)
    return white.view(len(patches), -1)


def find_visible_positions(size: Sequence[int], scale: int, alpha: Tensor) -> Tensor:
    """Find the sampled positions of a scale where a picture is visible; all, if it is visible at none.

    Args:
        size: Height and width of the picture.
        scale: The scale at which positions are sampled.
        alpha: Opacity [1, H, W].

    Returns:
        Indices into the positions of a `PatchSampler`.
    """
    cell = 1 << scale
    height, width = size
    rows, columns = (
        (positions * cell + cell // 2).clamp(max=length - 1)
        for positions, length in zip(
            spread_positions(-(-height // cell), -(-width // cell), MAX_PATCHES), size, strict=True
        )
    )
    everywhere = torch.arange(len(rows) * len(columns))
    visible = (alpha[0][rows][:, columns].flatten() / white_level(alpha)) >= 0.5
    return everywhere[visible] if visible.any() else everywhere
