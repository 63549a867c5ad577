"""Find the peaks of a symbol, and the phases of the twisted circulant that suit them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import torch
from torch import Tensor

from .symbol import TAU, frequency_grid
from .torus import Torus, gram_eigenvalues

FINEST = 128  # beyond this period the supremum over all frequencies is as good: kappa > 0.9994 at degree 1
COARSE = 12  # points of the first look at the symbol, per degree
PHASES = 8  # tried per axis
PEAKS = 4  # looked at
CONTENDER = 0.9  # of the highest peak; a lower one cannot win in an image of useful size


@dataclass(frozen=True)
class Peak:
    """A wave that the convolution stretches most.

    Attributes:
        gain: The symbol's largest singular value there.
        frequency: Of rows and columns, on the circles.
        group: The group of channels that carries it.
        vector: Right singular vector, [in / groups * s_h * s_w], complex.
    """

    gain: float
    frequency: tuple[float, float]
    group: int
    vector: Tensor


@dataclass(frozen=True)
class Survey:
    """What is known of a symbol before any bound is proved.

    Attributes:
        frequencies: Of a coarse grid, [P, 2].
        gains: There, [P].
        peaks: The highest, highest first, located on a fine grid; of w and -w only one.
        periods: Of the twisted circulant to use.
        phase: For which the largest gain on its grid is least, judged near the peaks.
    """

    frequencies: Tensor
    gains: Tensor
    peaks: list[Peak]
    periods: tuple[int, int]
    phase: tuple[float, float]


def survey_symbol(torus: Torus) -> Survey:
    """Look at the symbol on a coarse grid, then at its peaks on a fine one, and choose the phases.

    On the fine grid the gain is judged by ||F(w) U||, U spanning singular vectors from the highest points of
    the coarse one: never above ||F(w)||, close to it there, and cheap, its square being an eigenvalue of a
    small trigonometric polynomial.
    """
    coarse = [math.ceil(COARSE * circle.degree) or 1 for circle in torus.circles]
    frequencies = frequency_grid(coarse)
    half, mirror = _mirror(coarse)
    gains = torch.empty(len(frequencies), dtype=torch.float64)
    gains[half] = torus.gains(frequencies[half])
    gains[mirror[half]] = gains[half]
    rough = [_peak(torus, frequencies[i]) for i in _highest_apart(gains, half, coarse)]

    periods = tuple(min(circle.period, FINEST) for circle in torus.circles)
    tries = [PHASES if c.twisted and m < FINEST else 1 for c, m in zip(torus.circles, periods, strict=True)]
    fine = (periods[0] * tries[0], periods[1] * tries[1])
    judged = _judge(torus, rough, fine)
    spots = frequency_grid(fine)
    peaks = [_peak(torus, spots[i]) for i in _maxima(judged, _mirror(fine)[0])]
    highest = judged.view(periods[0], tries[0], periods[1], tries[1]).amax((0, 2))
    row, column = divmod(int(highest.argmin()), tries[1])
    phase = (TAU * row / tries[0], TAU * column / tries[1])
    peaks.sort(key=lambda peak: -peak.gain)
    return Survey(frequencies, gains, peaks, (periods[0], periods[1]), phase)


def _mirror(grid: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Return the points of a grid of which no other is the negative, and every point's negative."""
    index = torch.arange(math.prod(grid)).view(grid)
    mirror = index.flip(0, 1).roll((1, 1), (0, 1))
    return torch.unique(torch.minimum(index, mirror)), mirror.flatten()


def _highest_apart(gains: Tensor, allowed: Tensor, grid: Sequence[int]) -> list[int]:
    """Choose the highest points of a doubly periodic grid, no two of them neighbours.

    Not the local maxima: a peak may lie on the flank of a higher one and still be missed by the grid.
    """
    chosen: list[int] = []
    for point in allowed[gains[allowed].argsort(descending=True)].tolist():
        steps = [
            [abs(a - b) for a, b in zip(divmod(point, grid[1]), divmod(other, grid[1]), strict=True)]
            for other in chosen
        ]
        if all(any(1 < d < n - 1 for d, n in zip(step, grid, strict=True)) for step in steps):
            chosen.append(point)
        if len(chosen) == PEAKS:
            break
    return chosen


def _maxima(picture: Tensor, allowed: Tensor) -> Tensor:
    """Return the highest local maxima of a doubly periodic picture, as flat indices among those allowed."""
    around = torch.stack([picture.roll(shift, (0, 1)) for shift in product((-1, 0, 1), repeat=2)]).amax(0)
    peaks = allowed[(picture >= around).flatten()[allowed]]
    heights = picture.flatten()[peaks]
    order = heights.argsort(descending=True)[:PEAKS]
    return peaks[order[heights[order] >= CONTENDER * heights.max()]]


def _peak(torus: Torus, frequency: Tensor) -> Peak:
    symbols = torus.symbols(frequency[None])[0]
    group = int(gram_eigenvalues(symbols)[:, -1].argmax())
    _, values, right = torch.linalg.svd(symbols[group], full_matrices=False)
    row, column = frequency.tolist()
    return Peak(values[0].item(), (row, column), group, right[0].conj())


def _judge(torus: Torus, peaks: list[Peak], fine: tuple[int, int]) -> Tensor:
    """Return lower bounds of the gain that are close to it near the peaks, 0 far below them: [*fine]."""
    gains = torch.zeros(fine, dtype=torch.float64)
    for group in {peak.group for peak in peaks}:
        vectors = torch.stack([peak.vector for peak in peaks if peak.group == group], 1)
        # At -w the singular vectors are conjugate: a real basis serves both.
        basis = torch.linalg.qr(torch.cat([vectors.real, vectors.imag], 1)).Q
        gram = torch.fft.fft2(_projected_gram(torus, group, basis, fine), dim=(0, 1)).cpu()
        near = torch.linalg.matrix_norm(gram) > (CONTENDER * peaks[0].gain) ** 2  # bounds the eigenvalues
        if near.any():
            found = torch.linalg.eigvalsh(gram[near])[:, -1].clamp_min(0).sqrt()
            gains[near] = torch.maximum(gains[near], found)
    return gains


def _projected_gram(torus: Torus, group: int, vectors: Tensor, size: tuple[int, int]) -> Tensor:
    """Return the Fourier coefficients of (F U)* (F U), negative ones wrapped around: [*size, J, J]."""
    operator, (rows, columns) = torus.operator, (circle.taps for circle in torus.circles)
    weight = operator.weight.chunk(operator.groups)[group]
    vectors = vectors.view(weight.shape[1], rows.stride, columns.stride, -1)
    taps = list(product(range(weight.shape[2]), range(weight.shape[3])))
    images = torch.stack(  # [taps, out, J]
        [weight[:, :, a, b] @ vectors[:, rows.residue[a], columns.residue[b]] for a, b in taps]
    )
    pairs = torch.einsum("aoj,boi->abji", images, images)
    offsets = torch.tensor([(rows.offset[a], columns.offset[b]) for a, b in taps])
    difference = (offsets[None] - offsets[:, None]) % torch.tensor(size)
    index = (difference[..., 0] * size[1] + difference[..., 1]).flatten().to(pairs.device)
    gram = pairs.new_zeros(size[0] * size[1], *pairs.shape[2:]).index_add(0, index, pairs.flatten(0, 1))
    return gram.view(*size, *pairs.shape[2:])
