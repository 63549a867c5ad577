"""Matching as streamed maps, and samples of a map's patches; see `transfer.patch_matching`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from ..linalg import Statistics
from ..linalg.device_placement import limit_threads
from ..model.autoencoder import Decoder
from ..transfer import whitening_map
from ..transfer.patch_matching import (
    MAX_PATCHES,
    NEAREST,
    PASTE_BLOCK,
    Matches,
    PatchBank,
    balance_use,
    find_matches,
    keep_heaviest,
    paste_pieces,
    unbalanced_bias,
)
from .regions import AffineMap, RegionWeights, mix_maps, sample_weights, spread_positions
from .streamed_maps import FeatureMap, MapShape
from .streaming_layers import ConvParameters, convolve_rows

# Most positions that are matched at a time: 512 x 1024 scores stay in a processor's cache.
MATCH_BLOCK = 512
# Number of styles that are kept ready for matching, some 11 MB each.
PREPARED_BANKS = 4


class ScaleMatching(NamedTuple):
    """What is matched at one scale.

    Attributes:
        pieces: Pieces of the styles of all regions, one after the other, [M, P * P * C].
        stride: Pixels of this scale per position of the scale at which they are chosen.
        strength: Share of the pieces, 0..1.
        keys: Unit vectors of the style's patches, [M, D]; None where matches are taken from a coarser scale.
        bias: Added to all scores of a patch, [M]; None as for `keys`, and while the content is unknown.
        whitening: Matrix [C, C] and offset [C] that whiten the merged map; empty while it is unknown.
        queries: The convolution from the merged map to keys; None as for `keys`, and while the content is
            unknown.
        first: Index of the first of the region's own pieces.
    """

    pieces: Tensor
    stride: int
    strength: float
    keys: Tensor | None = None
    bias: Tensor | None = None
    whitening: AffineMap = (torch.empty(0), torch.empty(0))
    queries: ConvParameters | None = None
    first: int = 0


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
        queries = F.normalize(self.sources[0].read(start, stop).float(), dim=2)
        out = self.shape.allocate(stop - start) if out is None else out
        for rows in blocks_of_rows(queries):
            indices, weights = find_matches(queries[rows], self.keys, self.bias)
            out[rows, :, : self.count], out[rows, :, self.count :] = indices, weights
        return out


def blocks_of_rows(positions: Tensor) -> Iterator[slice]:
    """Divide positions [h, W, ...] into rows that are matched at a time."""
    height, width = positions.shape[:2]
    step = max(1, MATCH_BLOCK // max(1, width))
    for top in range(0, height, step):
        yield slice(top, min(top + step, height))


class RegionMatchesMap(FeatureMap):
    """The nearest patches of the styles of several regions, as a `MatchesMap` holds them.

    The pieces of all regions are numbered one after the other. Each region finds its own where it has a share
    of the position, with weights in proportion to this share.

    Args:
        merged: The merged map.
        regions: The patches of every region's style; regions without keys match none.
        shares: Shares of the regions.
        scale: Scale of the map.
    """

    def __init__(
        self, merged: FeatureMap, regions: Sequence[ScaleMatching], shares: RegionWeights, scale: int
    ) -> None:
        self.regions, self.shares, self.scale = regions, shares, scale
        shape = merged.shape._replace(channels=2 * NEAREST, dtype=torch.float32)
        super().__init__(shape, [merged.reader(margin=1)])

    def compute(self, start: int, stop: int, out: Tensor | None) -> Tensor:
        """Match rows, each alone."""
        merged = self.sources[0].read(start, stop).float()
        size = stop - start, self.shape.width, NEAREST * len(self.regions)
        indices = torch.zeros(size, device=merged.device)
        weights = torch.zeros_like(indices)
        for region, inside, columns, share in self.shares.parts(self.scale, start, stop):
            matching = self.regions[region]
            if matching.keys is None:
                continue
            assert matching.bias is not None
            around = slice(inside.start, inside.stop + 2), slice(columns.start, columns.stop + 2)
            queries = self._find_queries(merged[around], matching)
            for rows in blocks_of_rows(queries):
                found = find_matches(queries[rows], matching.keys, matching.bias)
                target = slice(NEAREST * region, NEAREST * region + found.indices.shape[-1])
                indices[inside, columns, target][rows] = (found.indices + matching.first).float()
                weights[inside, columns, target][rows] = found.weights * share[rows].unsqueeze(2)
        found = keep_heaviest(Matches(indices, weights))
        out = self.shape.allocate(stop - start) if out is None else out
        return torch.cat(found, 2, out=out)

    @staticmethod
    def _find_queries(merged: Tensor, matching: ScaleMatching) -> Tensor:
        """Return the keys [h, w, D] of patches of the merged map [h + 2, w + 2, C]."""
        assert matching.queries is not None
        return F.normalize(convolve_rows(merged, matching.queries), dim=2)


class MatchedMap(FeatureMap):
    """A merged map, whitened and mixed with the matched pieces of the styles.

    Args:
        matches: A MatchesMap or a RegionMatchesMap, of this scale or of a coarser one.
        merged: The merged map.
        regions: The whitening of every region, and the pieces of its style.
        shares: Shares of the regions; None for a single region.
        scale: Scale of the merged map.
        dtype: Type of the result, which is computed in float32 and rounded once.
    """

    def __init__(
        self,
        matches: FeatureMap,
        merged: FeatureMap,
        regions: Sequence[ScaleMatching],
        shares: RegionWeights | None,
        scale: int,
        dtype: torch.dtype,
    ) -> None:
        super().__init__(merged.shape._replace(dtype=dtype), [matches.reader(margin=1), merged.reader()])
        self.shares, self.scale = shares, scale
        self.whitenings = [region.whitening for region in regions]
        self.pieces = regions[0].pieces
        self.strength = max(region.strength for region in regions)
        self.step = self.stride = regions[0].stride
        self.positions_shape: MapShape = matches.shape

    def compute(self, start: int, stop: int, out: Tensor | None) -> Tensor:
        """Whiten rows and paste the pieces."""
        stride = self.stride
        height, width, channels, *_ = self.positions_shape
        first, last = start // stride, -(-stop // stride)
        # Beyond the border there are no matches. The copies of the border there are not read.
        above, below = min(1, first), min(1, height - last)
        found = self.sources[0].read(first, last)[1 - above : last - first + 1 + below, 1:-1]
        merged = self.sources[1].read(start, stop).float()
        white = mix_maps(merged, self.whitenings, self.shares, self.scale, start)
        out = self.shape.allocate(stop - start) if out is None else out
        rows = max(1, PASTE_BLOCK // width)
        for top in range(first, last, rows):
            bottom = min(top + rows, last)
            # One more row of positions above and below, where there is one, overlaps these.
            low, high = max(top - 1, 0), min(bottom + 1, height)
            block = found[low - first + above : high - first + above].flatten(0, 1)
            count = channels // 2
            matches = Matches(block[:, :count].long(), block[:, count:].contiguous())
            pasted, weight = paste_pieces(self.pieces, matches, width, stride)
            inner = slice(
                (top - low) * stride, (top - low) * stride + min(bottom * stride, stop) - top * stride
            )
            pasted, weight = (part[inner, : self.shape.width] for part in (pasted, weight))
            own = white[top * stride - start :][: len(pasted)]
            mixed = own + self.strength * (pasted - weight * own)
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
        self._join_banks = lru_cache(1)(self._join_pieces)

    def release(self) -> None:
        """Forget the styles that are kept ready."""
        self._prepare_bank.cache_clear()
        self._join_banks.cache_clear()

    def piece_stride(self, scale: int) -> int:
        """Return the pixels of a scale per position at which its pieces are chosen."""
        key_scale = self.architecture.key_scale(scale)
        return 1 if key_scale is None else 1 << (key_scale - scale)

    def build_bank(self, pieces: Mapping[int, Tensor], alpha: Tensor | None) -> PatchBank:
        """Build the bank of a style, in half precision, of pieces from its visible parts.

        Args:
            pieces: Whitened pieces [M, P * P * C] at the positions of a `PatchSampler`, by scale.
            alpha: Opacity of the style, [1, H, W]; None if all pixels are opaque.
        """
        kept: dict[int, Tensor] = {}
        for scale, each in pieces.items():
            key_scale = self.architecture.key_scale(scale)
            assert key_scale is not None
            visible = slice(None) if alpha is None else find_visible_positions(key_scale, alpha)
            kept[scale] = each[visible].half()
        return PatchBank.of(kept, self.architecture.key_scales)

    def prepare(
        self,
        bank: PatchBank | None,
        match: float,
        scale: int,
        found: Statistics,
        patches: Tensor | None,
        weights: Tensor | None = None,
        bias: Tensor | None = None,
    ) -> tuple[ScaleMatching, ConvParameters | None]:
        """Prepare the matching of a scale.

        Args:
            bank: Patches of the style; None for a region in which nothing is matched.
            match: Factor for the strength of matching, 0..1.
            scale: The scale.
            found: Statistics of the content's merged map.
            patches: Some of its patches, [N, 3, 3, C]; None if they are not known.
            weights: How much each of them counts, [N]; None if all count alike.
            bias: The bias [M], if it is known already.

        Returns:
            What is matched, and the convolution from the merged map to its keys; None where matches are taken
            from a coarser scale.
        """
        matrix, offset = (part[0] for part in whitening_map(found))
        whitening = matrix.float().to(self.device), offset.float().to(self.device)
        stride = self.piece_stride(scale)
        if bank is None:
            return ScaleMatching(torch.empty(0), stride, 0.0, whitening=whitening), None
        ready = self._prepare_bank(bank)[scale]
        ready = ready._replace(strength=match * ready.strength, whitening=whitening)
        if ready.keys is None:
            return ready, None
        weight = self._decoder.key_weight(scale).detach().double()
        keys = ConvParameters(weight, weight.new_zeros(len(weight))).fold_map(matrix, offset)
        shares = bank.shares[scale].to(self.device)
        weights = None if weights is None else weights.to(self.device)
        if patches is None:
            bias = unbalanced_bias(shares) if bias is None else bias
        elif bias is None:
            white = whiten_patches(patches, found)
            with limit_threads(white):
                queries = self._decoder.find_keys(white, scale).to(self.device)
            bias = balance_use(queries, ready.keys, shares, weights)
        return ready._replace(
            bias=bias,
            queries=keys.to(torch.float32, self.device),
        ), keys

    def join(self, banks: Sequence[PatchBank | None], scale: int) -> Tensor:
        """Return the pieces of several banks at a scale, one after the other."""
        return self._join_banks(tuple(bank for bank in banks if bank is not None))[scale]

    def _join_pieces(self, banks: tuple[PatchBank, ...]) -> dict[int, Tensor]:
        ready = [self._prepare_bank(bank) for bank in banks]
        if len(ready) == 1:
            return {scale: matching.pieces for scale, matching in ready[0].items()}
        return {scale: torch.cat([each[scale].pieces for each in ready]) for scale in ready[0]}

    def _convert_bank(self, bank: PatchBank) -> dict[int, ScaleMatching]:
        """Prepare what does not depend on the content."""
        ready: dict[int, ScaleMatching] = {}
        for scale, half in bank.pieces.items():
            pieces = half.cpu().float()
            strength = self.architecture.match_strengths[scale]
            ready[scale] = ScaleMatching(pieces.to(self.device), self.piece_stride(scale), strength)
            if self.architecture.key_scale(scale) == scale:
                with limit_threads(pieces):
                    keys = self._decoder.find_keys(pieces, scale).to(self.device)
                ready[scale] = ready[scale]._replace(keys=keys)
        return ready


class PatchSampler:
    """The pieces of a streamed map at some positions that are spread evenly over it.

    Args:
        source: The map, before any of its rows is computed.
        stride: Pixels of the map per position.
        most: Largest number of positions.
        margin: Pixels around those of a position that belong to its piece.
    """

    def __init__(self, source: FeatureMap, stride: int, most: int, margin: int = 1) -> None:
        height, width, channels, _, device = source.shape
        size = stride + 2 * margin
        self.rows, self.columns = (
            _clamp_neighbors(positions, stride, length, margin)
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
        """Return the pieces [M, P, P, C], P = stride + 2 * margin."""
        return self.pieces.flatten(0, 1)


def _clamp_neighbors(positions: Tensor, stride: int, length: int, margin: int) -> Tensor:
    """Return the pixels [N, P] of pieces along one direction; the border repeats beyond it."""
    return (positions[:, None] * stride + torch.arange(-margin, stride + margin)).clamp(0, length - 1)


def whiten_patches(patches: Tensor, found: Statistics) -> Tensor:
    """Whiten patches [N, P, P, C] with the statistics of their map; return [N, P * P * C] on the CPU."""
    matrix, offset = whitening_map(found)
    with limit_threads(matrix):
        white = torch.addmm(offset[0].float(), patches.cpu().flatten(0, 2), matrix[0].float().T)
    return white.view(len(patches), -1)


def find_visible_positions(scale: int, alpha: Tensor) -> Tensor:
    """Find the sampled positions of a scale where a picture is visible; all, if it is visible at none.

    Args:
        scale: The scale at which positions are sampled.
        alpha: Opacity [1, H, W].

    Returns:
        Indices into the positions of a `PatchSampler`.
    """
    (opacity,) = sample_weights(scale, alpha, MAX_PATCHES)
    everywhere = torch.arange(len(opacity))
    visible = opacity >= 0.5
    return everywhere[visible] if visible.any() else everywhere
