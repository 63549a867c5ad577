"""Functions of symmetric matrices with exact gradients, whatever the multiplicity of the eigenvalues.

With A = U diag(l) U^T and W = U diag(f(l)) U^T the gradient needs no derivative of an eigenvector:

    dL/dA = U [ F o (U^T sym(dL/dW) U) ] U^T,    F_ij = f[l_i, l_j]                      (Daleckii-Krein)

The divided differences F are bounded where eigenvalues coincide, so nothing is expanded, clipped or masked.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from .divided_differences import InverseSquareRoot, One, ScalarFunction, Smooth, SquareRoot
from .frechet import Recipe, apply_function
from .guards import require_eps, require_square
from .semidefinite import rank_cut


def spectral_function(matrix: Tensor, function: Callable[[Tensor], Tensor] | ScalarFunction) -> Tensor:
    """Apply a scalar function to the eigenvalues of symmetric matrices.

    Args:
        matrix: [..., C, C]; its symmetric part is used.
        function: Elementwise torch code such as `torch.exp`, analytic on the spectrum; or an object with
            divided differences of its own, see `divided_differences.ScalarFunction`.

    Returns:
        [..., C, C], symmetric, twice differentiable.

    Raises:
        NumericalError: The matrix holds NaN or infinity.
        ValueError: It is not square.
    """
    require_square("matrix", matrix)
    return apply_function(matrix, Recipe(Smooth(function) if callable(function) else function))


def matrix_sqrt(matrix: Tensor, *, eps: float = 0.0, rtol: float | None = None) -> Tensor:
    """Return the positive semi-definite square root.

    Args:
        matrix: Positive semi-definite, [..., C, C]; its symmetric part is used.
        eps: Added to every eigenvalue, relative to the mean eigenvalue.
        rtol: Eigenvalues up to rtol times the largest count as zero. Default: C times the machine epsilon
            of the matrix without `eps`, none with it.

    Returns:
        [..., C, C], symmetric, twice differentiable; zero on the directions left out.

    Raises:
        NumericalError: The matrix holds NaN or infinity.
        ValueError: It is not square, or an option is out of its range.
    """
    return _root(matrix, SquareRoot(), eps, rtol)


def inverse_sqrt(matrix: Tensor, *, eps: float = 0.0, rtol: float | None = None) -> Tensor:
    """Return the inverse of the square root on the span of the eigenvalues kept; else as `matrix_sqrt`."""
    return _root(matrix, InverseSquareRoot(), eps, rtol)


def spectral_projector(matrix: Tensor, k: int) -> Tensor:
    """Return the orthogonal projector onto the eigenvectors of the k largest eigenvalues.

    Args:
        matrix: Symmetric, [..., C, C]; its symmetric part is used.
        k: Dimension kept, 0..C. The gradient exists where eigenvalues k and k + 1 differ; ties on either side
            of the cut do no harm.

    Returns:
        [..., C, C], twice differentiable: principal-component denoising needs no eigenvector gradient.

    Raises:
        NumericalError: The matrix holds NaN or infinity.
        ValueError: It is not square, or k is out of range.
    """
    require_square("matrix", matrix)
    if not 0 <= k <= matrix.shape[-1]:
        raise ValueError(f"k is {k}, it must be 0..{matrix.shape[-1]}")
    return apply_function(matrix, Recipe(One(), largest=k))


def _root(matrix: Tensor, function: ScalarFunction, eps: float, rtol: float | None) -> Tensor:
    require_square("matrix", matrix)
    require_eps(eps)
    if rtol is None:
        rtol = rank_cut(matrix.dtype, matrix.dtype, matrix.shape[-1], eps)
    if not 0 <= rtol < 1:
        raise ValueError(f"rtol is {rtol}, it must be at least 0 and less than 1")
    return apply_function(matrix, Recipe(function, positive=True, eps=eps, rtol=rtol))
