"""Lanczos on A* A: lower bounds of ||A|| from any start, upper bounds from a random one."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from .operator import ConvOperator

BASIS_BYTES = 2**30  # the Krylov basis is kept for orthogonality; beyond this no further step is taken


@dataclass
class Krylov:
    """A Krylov space of A* A and Lanczos' tridiagonal matrix on it.

    Attributes:
        basis: Orthonormal, [k, N].
        diagonal: [k].
        beside: [k]; its last entry is the norm of the residual, the link to the next step.
        complete: Whether there is no next step.
    """

    basis: Tensor
    diagonal: Tensor
    beside: Tensor
    complete: bool

    @property
    def tridiagonal(self) -> Tensor:
        """The projection of A* A on the basis, [k, k]."""
        links = torch.diag(self.beside[:-1], 1)
        return torch.diag(self.diagonal) + links + links.T

    def top(self) -> tuple[float, Tensor]:
        """Return the largest Ritz value, a lower bound of ||A||^2, and its vector [N]."""
        values, vectors = torch.linalg.eigh(self.tridiagonal)
        return values[-1].item(), vectors[:, -1].to(self.basis) @ self.basis

    @property
    def residual(self) -> float:
        """||A* A x - theta x|| / theta of the largest Ritz pair."""
        values, vectors = torch.linalg.eigh(self.tridiagonal)
        size: float = (self.beside[-1] * vectors[-1, -1].abs()).item()
        largest: float = values[-1].item()
        return size / largest if largest > 0 else 0.0

    def upper_bound(self, overlap: float) -> float:
        """Bound the largest eigenvalue, given that the start is not orthogonal to its eigenvector.

        The start's spectral measure has at most the mass 1 / sum_i p_i(x)^2 at x (Christoffel), p_i being its
        orthonormal polynomials, whose recurrence the Lanczos coefficients are. Beyond the largest Ritz value
        the sum grows with x, so an eigenvalue of mass `overlap` lies below the x where the two meet.

        Args:
            overlap: Lower bound of the squared cosine between start and eigenvector.

        Source: Hochstenbach 2013, Probabilistic upper bounds for the matrix two-norm, J. Sci. Comput. 57.
        Differs: the sum over all polynomials, where the paper takes the last one alone.
        """
        low = self.top()[0]
        if not self.beside[-1] > 0:
            return low
        high = low
        while self._christoffel(high) < 1 / overlap:
            low, high = high, 2 * high + 1e-300
        for _ in range(60):
            middle = (low + high) / 2
            low, high = (middle, high) if self._christoffel(middle) < 1 / overlap else (low, middle)
        return high

    def _christoffel(self, x: float) -> float:
        previous, current, link, total = 0.0, 1.0, 0.0, 1.0
        for alpha, beta in zip(self.diagonal.tolist(), self.beside.tolist(), strict=True):
            previous, current = current, ((x - alpha) * current - link * previous) / beta
            total += current * current
            if not total < 1e150:
                return math.inf
            link = beta
        return total


def lanczos(operator: ConvOperator, start: Tensor, steps: int) -> Iterator[Krylov]:
    """Yield the Krylov space of A* A after every step, until it is exhausted or the steps are.

    Args:
        operator: In float64, if the results are to hold as bounds.
        start: [in, H, W] or [out, H', W'], in which case the smaller A A* is used; not zero.
        steps: At most.
    """
    wide = start.shape == operator.input_shape
    shape = (1, *start.shape)
    size = start.numel()
    steps = min(steps, size, max(2, BASIS_BYTES // (start.element_size() * size)))
    basis = start.new_empty(steps, size)
    diagonal, beside = start.new_empty(steps), start.new_empty(steps)
    vector = start.flatten() / start.norm()
    tiny = torch.finfo(start.dtype).eps
    for k in range(steps):
        basis[k] = vector
        image = operator.apply(vector.view(shape)) if wide else operator.adjoint(vector.view(shape))
        vector = (operator.adjoint(image) if wide else operator.apply(image)).flatten()
        diagonal[k] = vector @ basis[k]
        for _ in range(2):  # once is not enough for orthogonality to working precision, twice is
            vector = vector - (basis[: k + 1] @ vector) @ basis[: k + 1]
        link = vector.norm()
        exhausted = bool(link <= 10 * tiny * diagonal[: k + 1].max())
        beside[k] = 0.0 if exhausted else link
        complete = exhausted or k + 1 == steps
        yield Krylov(basis[: k + 1], diagonal[: k + 1], beside[: k + 1], complete)
        if exhausted:
            return
        vector = vector / link
