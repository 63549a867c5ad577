"""The peaks of a symbol: the phases and wave packets that suit them, and the certified bound beside them.

A wave packet at a peak of ||F|| is nearly a singular vector of the convolution on a finite image.
`find_peaks` locates the peaks, `refine` turns their wave packets into lower bounds of the norm, and
`circulant_bound` is the upper bound: the symbol's largest singular value on the grid of a twisted circulant.

Theorem (compression). A convolution that a twisted circulant contains (see `circulant`) is a block of it, for
every phase theta. The circulant is unitarily equivalent to the block diagonal matrix of the symbols
F((2 pi j + theta) / m), hence

    ||T|| <= max_j ||F((2 pi j + theta) / m)||.

The phases are chosen so that the peaks of ||F|| fall between grid points. The bound then gains through the
grid what the wave packets of a finite image lose through its borders.

Lemma (pruning). g(w) = ||F(w)|| is the largest of the real trigonometric polynomials Re(u* F(w) v), of degree
d_a in axis a. Where a real trigonometric polynomial of degree d (or, for even kernels, an entire function of
exponential type d) has |p| <= M, arccos(p / M) is Lipschitz with constant d (van der Corput & Schaake 1935,
Duffin & Schaeffer 1937); so is arccos(g / M). Let t be the largest value *evaluated* so far, and suppose that
the grid holds a larger value T. Then sup g <= T / kappa with kappa = prod_a cos(pi d_a / m_a), and T lies at
a distance of at least

    arccos(kappa g0 / T) - arccos(kappa),    where distances are sum_a d_a |w_a - w0_a|,

from an evaluated point of value g0. A point nearer than arccos(kappa g0 / t) - arccos(kappa) is therefore
below T, for every T > t. If every grid point is evaluated, or that near to an evaluated one, no such T
exists, and t is the maximum.

Rounding: values are roots of eigenvalues of F* F in float64; `ConvOperator.rounding_margin` is added to the
bound.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import torch
from torch import Tensor

from .circulant_embedding import Circulant
from .lanczos import lanczos
from .symbol import TAU, frequency_grid, gram_eigenvalues

FINEST_PERIOD = 128  # beyond it, the supremum over all frequencies is as good: kappa > 0.9994 at degree 1
COARSE_POINTS = 12  # points of the coarse grid per degree of the symbol
PHASES = 8  # phases tried per axis
PEAKS = 4  # peaks kept
CONTENDER = 0.9  # share of the highest peak; a lower one cannot win in an image of useful size

ARCCOS_ERROR = 1e-9  # error allowed for in the lemma's radii: arccos near 1 loses half the digits
DISTANCE_CHUNK = 512  # evaluated points whose distances to the grid are held at once

REFINE_STEPS = 24
REFINE_RESIDUAL = 2e-3  # relative residual of a Ritz value; its error is the residual squared over the gap


@dataclass(frozen=True)
class Peak:
    """A wave that the convolution amplifies most.

    Attributes:
        gain: Largest singular value of the symbol at the peak.
        frequency: Frequencies of rows and columns, on the circles of the circulant.
        group: Group of channels that carries the wave.
        vector: Right singular vector of the symbol, [in / groups * s_h * s_w], complex.
    """

    gain: float
    frequency: tuple[float, float]
    group: int
    vector: Tensor


@dataclass(frozen=True)
class SymbolPeaks:
    """The peaks of a symbol, and the circulant that they suggest.

    Attributes:
        frequencies: Frequencies of a coarse grid, [P, 2].
        gains: Largest singular values of the symbol at these frequencies, [P].
        peaks: Highest peaks, in descending order, located on a fine grid; of w and -w only one is listed.
        periods: Periods of the twisted circulant to use.
        phase: Phase for which the largest gain on the circulant's grid is least, judged near the peaks.
    """

    frequencies: Tensor
    gains: Tensor
    peaks: list[Peak]
    periods: tuple[int, int]
    phase: tuple[float, float]


def find_peaks(circulant: Circulant) -> SymbolPeaks:
    """Evaluate the symbol on a coarse grid, locate its peaks on a fine one, and choose the phases.

    On the fine grid the gain is estimated by ||F(w) U||, where U spans singular vectors from the highest
    points of the coarse grid. The estimate never exceeds ||F(w)||, is close to it near the peaks, and is
    cheap: its square is an eigenvalue of a small trigonometric polynomial.
    """
    coarse = [math.ceil(COARSE_POINTS * axis.degree) or 1 for axis in circulant.axes]
    frequencies = frequency_grid(coarse)
    half, mirror = _mirror(coarse)
    gains = torch.empty(len(frequencies), dtype=torch.float64)
    gains[half] = circulant.gains(frequencies[half])
    gains[mirror[half]] = gains[half]
    rough = [_peak_at(circulant, frequencies[i]) for i in _highest_apart(gains, half, coarse)]

    periods = tuple(min(axis.period, FINEST_PERIOD) for axis in circulant.axes)
    tries = [
        PHASES if axis.twisted and m < FINEST_PERIOD else 1
        for axis, m in zip(circulant.axes, periods, strict=True)
    ]
    fine = (periods[0] * tries[0], periods[1] * tries[1])
    estimates = _estimate_gains(circulant, rough, fine)
    fine_frequencies = frequency_grid(fine)
    peaks = [_peak_at(circulant, fine_frequencies[i]) for i in _local_maxima(estimates, _mirror(fine)[0])]
    highest = estimates.view(periods[0], tries[0], periods[1], tries[1]).amax((0, 2))
    row, column = divmod(int(highest.argmin()), tries[1])
    phase = (TAU * row / tries[0], TAU * column / tries[1])
    peaks.sort(key=lambda peak: -peak.gain)
    return SymbolPeaks(frequencies, gains, peaks, (periods[0], periods[1]), phase)


def _mirror(grid: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Return one point of every pair w, -w of a grid, and the index of every point's negative."""
    index = torch.arange(math.prod(grid)).view(grid)
    mirror = index.flip(0, 1).roll((1, 1), (0, 1))
    return torch.unique(torch.minimum(index, mirror)), mirror.flatten()


def _highest_apart(gains: Tensor, allowed: Tensor, grid: Sequence[int]) -> list[int]:
    """Choose the highest points of a doubly periodic grid, no two of them neighbors.

    Local maxima would not do: a peak on the flank of a higher one need not be a local maximum of the grid.
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


def _local_maxima(values: Tensor, allowed: Tensor) -> Tensor:
    """Return the flat indices of the highest local maxima of a doubly periodic grid [R, C], if allowed."""
    around = torch.stack([values.roll(shift, (0, 1)) for shift in product((-1, 0, 1), repeat=2)]).amax(0)
    peaks = allowed[(values >= around).flatten()[allowed]]
    heights = values.flatten()[peaks]
    order = heights.argsort(descending=True)[:PEAKS]
    return peaks[order[heights[order] >= CONTENDER * heights.max()]]


def _peak_at(circulant: Circulant, frequency: Tensor) -> Peak:
    symbols = circulant.symbols(frequency[None])[0]
    group = int(gram_eigenvalues(symbols)[:, -1].argmax())
    _, values, right = torch.linalg.svd(symbols[group], full_matrices=False)
    row, column = frequency.tolist()
    return Peak(values[0].item(), (row, column), group, right[0].conj())


def _estimate_gains(circulant: Circulant, peaks: list[Peak], fine: tuple[int, int]) -> Tensor:
    """Return lower bounds of the gain that are close to it near the peaks, and 0 far below them: [*fine]."""
    gains = torch.zeros(fine, dtype=torch.float64)
    for group in {peak.group for peak in peaks}:
        vectors = torch.stack([peak.vector for peak in peaks if peak.group == group], 1)
        # The singular vectors at -w are the conjugates of those at w: a real basis serves both.
        basis = torch.linalg.qr(torch.cat([vectors.real, vectors.imag], 1)).Q
        gram = torch.fft.fft2(_projected_gram(circulant, group, basis, fine), dim=(0, 1)).cpu()
        near = torch.linalg.matrix_norm(gram) > (CONTENDER * peaks[0].gain) ** 2  # bounds the eigenvalues
        if near.any():
            found = torch.linalg.eigvalsh(gram[near])[:, -1].clamp_min(0).sqrt()
            gains[near] = torch.maximum(gains[near], found)
    return gains


def _projected_gram(circulant: Circulant, group: int, vectors: Tensor, size: tuple[int, int]) -> Tensor:
    """Return the Fourier coefficients of (F U)* (F U), negative ones wrapped around: [*size, J, J]."""
    operator, (rows, columns) = circulant.operator, (axis.taps for axis in circulant.axes)
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


def wave_packet(circulant: Circulant, peak: Peak) -> Tensor:
    """Build the image that a convolution amplifies nearly most: window x wave x singular vector.

    On a zero-padded axis the window is half a sine wave. Near a peak, the operator acts on the envelope of a
    wave like a Laplacian on a box, whose ground state this is. A circular axis needs no window.

    Returns:
        [in, H, W], real, of norm 1.
    """
    operator = circulant.operator
    channels, *sizes = operator.input_shape
    strides = [axis.taps.stride for axis in circulant.axes]
    rows, columns = (torch.arange(size) % stride for size, stride in zip(sizes, strides, strict=True))
    per_group = channels // operator.groups
    vectors = peak.vector.cpu().view(per_group, *strides)[:, rows[:, None], columns]  # [in / groups, H, W]
    down, across = (
        axis.wave(size, frequency) * (_half_sine(size) if axis.twisted else 1.0)
        for axis, size, frequency in zip(circulant.axes, sizes, peak.frequency, strict=True)
    )
    packet = vectors * down[:, None] * across
    # A real image holds the real or the imaginary part of the wave; at frequencies 0 and pi one is zero.
    real = packet.real if packet.real.norm() >= packet.imag.norm() else packet.imag
    image = real.new_zeros(channels, *sizes)
    image[peak.group * per_group : (peak.group + 1) * per_group] = real / real.norm()
    return image.to(operator.weight)


def refine(
    circulant: Circulant,
    peaks: Sequence[Peak],
    steps: int = REFINE_STEPS,
    residual: float = REFINE_RESIDUAL,
) -> list[tuple[float, Tensor]]:
    """Improve the wave packets of competing peaks by Lanczos.

    Args:
        circulant: The circulant whose block is the convolution.
        peaks: Peaks of its symbol, highest first.
        steps: Largest number of steps for each peak.
        residual: Relative residual at which the iteration of a peak ends.

    Returns:
        Lower bounds ||A x|| of the norm and the unit images x [in, H, W] that attain them, highest first.
    """
    operator = circulant.operator
    refined: list[tuple[float, Tensor]] = []
    for peak in peaks:
        if any(peak.gain <= value for value, _ in refined):
            break  # on a finite image, a peak cannot reach its own gain
        start = wave_packet(circulant, peak)
        for space in lanczos(operator, start, steps):
            if space.residual < residual:
                break
        vector = space.largest_ritz_pair()[1]
        image = (vector / vector.norm()).view(start.shape)
        refined.append((operator.apply(image[None]).norm().item(), image))
    return sorted(refined, key=lambda pair: -pair[0])


def _half_sine(size: int) -> Tensor:
    return torch.sin(torch.pi * torch.arange(1, size + 1, dtype=torch.float64) / (size + 1))


def circulant_bound(circulant: Circulant, peaks: SymbolPeaks) -> float:
    """Bound the norm of a convolution by a twisted circulant that contains it, see the theorem.

    Where the chosen grid is coarser than the circulant's, the bound is that of the supremum over all
    frequencies of that axis, sup g <= max g / cos(pi d / m).
    """
    bound = _grid_maximum(circulant, peaks)
    for axis, period in zip(circulant.axes, peaks.periods, strict=True):
        if period < axis.period:
            bound /= math.cos(torch.pi * axis.degree / period)
    return bound * (1 + circulant.operator.rounding_margin)


def _grid_maximum(circulant: Circulant, peaks: SymbolPeaks) -> float:
    """Return the largest gain on the twisted grid, evaluating only points that the lemma does not exclude."""
    grid = frequency_grid(peaks.periods, peaks.phase)
    index = torch.cartesian_prod(*map(torch.arange, peaks.periods))
    top = torch.tensor([peaks.peaks[0].frequency], dtype=torch.float64)
    nearest = _distances(circulant, grid, top)[:, 0].argmin()
    largest = circulant.gains(grid[nearest][None]).item()
    open_ = torch.arange(len(grid)) != nearest
    open_ &= ~_excluded(circulant, peaks, grid, (peaks.frequencies, peaks.gains), largest)
    for spacing in (4, 2, 1):
        here = open_ & (index % spacing == 0).all(1)
        if not here.any():
            continue
        gains = circulant.gains(grid[here])
        largest = max(largest, gains.max().item())
        open_ &= ~here
        open_[open_.clone()] = ~_excluded(circulant, peaks, grid[open_], (grid[here], gains), largest)
    return largest


def _excluded(
    circulant: Circulant, peaks: SymbolPeaks, points: Tensor, evaluated: tuple[Tensor, Tensor], largest: float
) -> Tensor:
    """Tell which grid points are below every value larger than `largest`, by the lemma: [points]."""
    excluded = torch.zeros(len(points), dtype=torch.bool)
    angles = [torch.pi * axis.degree / m for axis, m in zip(circulant.axes, peaks.periods, strict=True)]
    kappa = math.prod(map(math.cos, angles))
    if max(angles) >= torch.pi / 2 or kappa == 1 or largest == 0:
        return excluded
    frequencies, gains = evaluated
    radius = (kappa * gains / largest).clamp(max=1).arccos() - math.acos(kappa) - ARCCOS_ERROR
    useful = radius > 0
    for start in range(0, int(useful.sum()), DISTANCE_CHUNK):
        part = slice(start, start + DISTANCE_CHUNK)
        distances = _distances(circulant, points, frequencies[useful][part])
        excluded |= (distances <= radius[useful][part]).any(1)
    return excluded


def _distances(circulant: Circulant, points: Tensor, others: Tensor) -> Tensor:
    """Return distances on the torus, each axis weighted by its degree: [points, others]."""
    apart = (points[:, None] - others[None]).remainder(TAU)
    degrees = apart.new_tensor([axis.degree for axis in circulant.axes])
    return torch.minimum(apart, TAU - apart) @ degrees
