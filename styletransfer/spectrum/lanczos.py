"""Lanczos iteration on A* A: lower bounds of ||A|| from any start, upper bounds from a random one.

The groups of a grouped convolution are separate maps, which `leading_vectors_of_groups` iterates together.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from .conv_operator import ConvOperator

CHECK_EVERY = 10  # steps between two looks at the residuals of all groups
BASIS_BYTES = 2**30  # largest size of the basis, which is kept for reorthogonalization


@dataclass
class KrylovSpace:
    """A Krylov space of A* A, and the tridiagonal matrix of A* A on it.

    Attributes:
        basis: Orthonormal basis, [k, N].
        diagonal: Diagonal of the tridiagonal matrix, [k].
        off_diagonal: Its off-diagonal entries, [k]. The last one is the norm of the residual, which links
            this space to the next step.
        complete: Whether there is no next step.
    """

    basis: Tensor
    diagonal: Tensor
    off_diagonal: Tensor
    complete: bool

    @property
    def tridiagonal(self) -> Tensor:
        """The projection of A* A on the basis, [k, k]."""
        links = torch.diag(self.off_diagonal[:-1], 1)
        return torch.diag(self.diagonal) + links + links.T

    def largest_ritz_pair(self) -> tuple[float, Tensor]:
        """Return the largest Ritz value, a lower bound of ||A||^2, and its vector [N]."""
        values, vectors = torch.linalg.eigh(self.tridiagonal)
        return values[-1].item(), vectors[:, -1].to(self.basis) @ self.basis

    @property
    def residual(self) -> float:
        """Relative residual ||A* A x - theta x|| / theta of the largest Ritz pair."""
        values, vectors = torch.linalg.eigh(self.tridiagonal)
        size: float = (self.off_diagonal[-1] * vectors[-1, -1].abs()).item()
        largest: float = values[-1].item()
        return size / largest if largest > 0 else 0.0

    def upper_bound(self, overlap: float) -> float:
        """Bound the largest eigenvalue of A* A, given how much of its eigenvector the start contains.

        The Lanczos coefficients are the recurrence of the orthonormal polynomials p_i of the start's spectral
        measure, which has at most the mass 1 / sum_i p_i(x)^2 at x (Christoffel). Beyond the largest Ritz
        value this sum grows with x. An eigenvalue of mass `overlap` therefore lies below the x at which the
        sum is 1 / overlap.

        Args:
            overlap: Lower bound of the squared cosine between the start and the eigenvector.

        Source: Hochstenbach 2013, Probabilistic upper bounds for the matrix two-norm, J. Sci. Comput. 57.
        Differs: uses the sum over all polynomials, where the paper uses the last one alone.
        """
        low = self.largest_ritz_pair()[0]
        if not self.off_diagonal[-1] > 0:
            return low
        high = low
        while self._christoffel(high) < 1 / overlap:
            low, high = high, 2 * high + 1e-300
        for _ in range(60):
            middle = (low + high) / 2
            low, high = (middle, high) if self._christoffel(middle) < 1 / overlap else (low, middle)
        return high

    def _christoffel(self, x: float) -> float:
        """Return sum_i p_i(x)^2, or infinity where it is huge."""
        previous, current, link, total = 0.0, 1.0, 0.0, 1.0
        for alpha, beta in zip(self.diagonal.tolist(), self.off_diagonal.tolist(), strict=True):
            previous, current = current, ((x - alpha) * current - link * previous) / beta
            total += current * current
            if not total < 1e150:
                return math.inf
            link = beta
        return total


def lanczos(operator: ConvOperator, start: Tensor, steps: int) -> Iterator[KrylovSpace]:
    """Yield the Krylov space of A* A after every step, until it is exhausted or `steps` are done.

    Args:
        operator: The map A, in float64 if the results are to hold as bounds.
        start: Start vector, not zero: [in, H, W] for A* A, or [out, H', W'] for A A*.
        steps: Largest number of steps.
    """
    from_input = start.shape == operator.input_shape
    shape = (1, *start.shape)
    size = start.numel()
    steps = min(steps, size, max(2, BASIS_BYTES // (start.element_size() * size)))
    basis = start.new_empty(steps, size)
    diagonal, off_diagonal = start.new_empty(steps), start.new_empty(steps)
    vector = start.flatten() / start.norm()
    tiny = torch.finfo(start.dtype).eps
    for k in range(steps):
        basis[k] = vector
        image = operator.apply(vector.view(shape)) if from_input else operator.adjoint(vector.view(shape))
        vector = (operator.adjoint(image) if from_input else operator.apply(image)).flatten()
        diagonal[k] = vector @ basis[k]
        for _ in range(2):  # once is not enough for orthogonality to working precision, twice is
            vector = vector - (basis[: k + 1] @ vector) @ basis[: k + 1]
        link = vector.norm()
        exhausted = bool(link <= 10 * tiny * diagonal[: k + 1].max())
        off_diagonal[k] = 0.0 if exhausted else link
        complete = exhausted or k + 1 == steps
        yield KrylovSpace(basis[: k + 1], diagonal[: k + 1], off_diagonal[: k + 1], complete)
        if exhausted:
            return
        vector = vector / link


def leading_vectors_of_groups(
    operator: ConvOperator, start: Tensor, count: int, steps: int, residual: float
) -> Tensor:
    """Find the leading right singular vectors of every group of a grouped convolution, all groups at once.

    Args:
        operator: The map, in float64.
        start: Start vector, [in, H, W], not zero in any group.
        count: Number of vectors of each group.
        steps: Largest number of steps.
        residual: Relative residual of the largest Ritz pair at which a group is done.

    Returns:
        [count, in, H, W], of norm 1 in each group, in descending order of its singular values; fewer if the
        groups have fewer inputs. Vectors beyond the rank of a group may be zero.
    """
    groups, size = operator.groups, start.numel() // operator.groups
    steps = min(steps, size, max(2, BASIS_BYTES // (start.element_size() * start.numel())))
    basis = start.new_empty(steps, groups, size)
    tridiagonal = start.new_zeros(groups, steps, steps)
    vector = start.view(groups, size)
    vector = vector / vector.norm(dim=1, keepdim=True)
    tiny = torch.finfo(start.dtype).eps
    for k in range(steps):
        basis[k] = vector
        image = operator.apply(vector.view(1, *start.shape))
        vector = operator.adjoint(image).view(groups, size)
        tridiagonal[:, k, k] = (vector * basis[k]).sum(1)
        for _ in range(2):
            overlaps = torch.einsum("kgn,gn->kg", basis[: k + 1], vector)
            vector = vector - torch.einsum("kg,kgn->gn", overlaps, basis[: k + 1])
        link = vector.norm(dim=1)
        largest = tridiagonal.diagonal(dim1=1, dim2=2).amax(1)
        link = torch.where(link <= 10 * tiny * largest, 0.0, link)  # the space of this group is exhausted
        if (k + 1) % CHECK_EVERY == 0 or k + 1 == steps or not link.any():
            values, vectors = torch.linalg.eigh(tridiagonal[:, : k + 1, : k + 1])
            residuals = link * vectors[:, -1, -1].abs()
            if k + 1 == steps or bool((residuals <= residual * values[:, -1]).all()):
                break
        tridiagonal[:, k, k + 1] = tridiagonal[:, k + 1, k] = link
        vector = torch.where(link[:, None] > 0, vector / link[:, None], 0.0)
    leading = vectors.flip(2)[:, :, :count]
    found = torch.einsum("gkc,kgn->cgn", leading, basis[: k + 1])
    found = found / found.norm(dim=2, keepdim=True).clamp_min(torch.finfo(start.dtype).tiny)
    images: Tensor = found.reshape(-1, *start.shape)
    return images
