"""Relative error of the gradient of a whitening and coloring, by method, spectrum and width."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from .features import CASES, make_pair
from .methods import PACKAGE_TRANSFERS, Transfer, gradients, package_transfer, peer_transfers
from .reference import reference_gradients
from .tables import Table

CHANNELS = (16, 32, 64, 128, 256, 512)

# Power iteration deflates C times, which makes wider graphs too large. Its error is large long before that.
WIDEST_POWER_ITERATION = 64


def relative_error(found: Tensor, truth: Tensor) -> float:
    """Return the norm of the difference over that of the truth."""
    return float((found.double() - truth).norm() / truth.norm())


def worst_error(
    transfer: Transfer, inputs: tuple[Tensor, Tensor, Tensor], eps: float, truths: tuple[Tensor, Tensor]
) -> float:
    """Return the larger relative error of the gradients to content and style, or NaN if one is missing."""
    try:
        found = gradients(transfer, *inputs, eps)
    except (RuntimeError, ArithmeticError):  # An eigensolver did not converge.
        return float("nan")
    errors = torch.tensor([relative_error(g[0], t) for g, t in zip(found, truths, strict=True)])
    return float(errors.max())  # The maximum is NaN if one error is NaN.


def accuracy(channels: Sequence[int] = CHANNELS, samples_per_channel: int = 4) -> Table:
    """Compare the gradients of all methods with a reference in 80-bit arithmetic.

    The Cholesky method computes another map and is compared with itself in float64. Features are [1, C, N]
    with N = max(1024, 4 C). They are float32 except in the rows "all float64".
    """
    table = Table("Relative error of the gradient, worse of content and style", ["method", "C", *CASES])
    for width in channels:
        methods = {**peer_transfers(), **PACKAGE_TRANSFERS}
        if width > WIDEST_POWER_ITERATION:
            del methods["power iteration 19"]
        errors: dict[str, list[float]] = {name: [] for name in [*methods, "all float64"]}
        for name, case in CASES.items():
            inputs = make_pair(name, width, max(1024, samples_per_channel * width))
            exact = tuple(x.double() for x in inputs)
            arrays = [x[0].numpy() for x in exact]
            reference = reference_gradients(arrays[0], arrays[1], arrays[2], case.eps)
            truths = (torch.from_numpy(reference.content), torch.from_numpy(reference.style))
            for method, transfer in methods.items():
                expected = _cholesky_truth(inputs, case.eps) if method == "cholesky" else truths
                errors[method].append(worst_error(transfer, inputs, case.eps, expected))
            double = (exact[0], exact[1], exact[2])
            errors["all float64"].append(
                worst_error(PACKAGE_TRANSFERS["fused, float64 statistics"], double, case.eps, truths)
            )
        for method, row in errors.items():
            table.add(method, width, *row)
    return table


def _cholesky_truth(inputs: tuple[Tensor, Tensor, Tensor], eps: float) -> tuple[Tensor, Tensor]:
    def transfer(content: Tensor, style: Tensor, eps: float) -> Tensor:
        return package_transfer(content, style, eps, dtype=torch.float64, method="cholesky")

    content, style, upstream = (x.double() for x in inputs)
    to_content, to_style = gradients(transfer, content, style, upstream, eps)
    return to_content[0], to_style[0]
