"""SOAP: Adam along the principal axes of a kernel's gradients instead of along its single weights.

Whitening ties all channels of a scale to each other: the loss is far steeper along some mixtures of them
than along others, which steps weight by weight do not see. SOAP keeps the second moments of each kernel's
gradients along its outputs, its inputs and its nine places, turns the gradient into their eigenvectors,
takes Adam's step there, and turns it back.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn


class SOAP(torch.optim.Optimizer):
    """Shampoo with Adam in the preconditioner's eigenbasis.

    What is no convolution's kernel (biases, skips) has no axes but its own: there it is Adam. Directions in
    which a kernel has no gradient at all, such as those of a dead channel, drift a little, by rounding.

    Args:
        parameters: To be trained; those without a gradient stay as they are.
        lr: Learning rate, a value that serves Adam or up to twice that.
        betas: Decays per step of the mean of the gradients, and of their second moments.
        eps: Added to the root of the second moments.
        interval: Steps from one refreshing of the axes, a QR decomposition each, to the next.

    Source: Vyas et al. 2024 (arXiv 2409.11321), algorithm 3.
    Differs: second moments decay by .99, not .95, since batches are small; the places of a 3x3 kernel are one
    mode of nine, since not every pattern is a product of a row and a column.
    """

    def __init__(
        self,
        parameters: Iterable[nn.Parameter],
        lr: float,
        *,
        betas: tuple[float, float] = (0.95, 0.99),
        eps: float = 1e-8,
        interval: int = 10,
    ) -> None:
        super().__init__(parameters, {"lr": lr, "betas": betas, "eps": eps, "interval": interval})

    @torch.no_grad()
    def step(self) -> None:  # type: ignore[override]
        """Take a step along the gradients that are there."""
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    change = self._advance(self.state[parameter], parameter.grad, group)
                    parameter.sub_(change.view(parameter.shape), alpha=group["lr"])

    def _advance(self, state: dict[str, Any], gradient: Tensor, group: dict[str, Any]) -> Tensor:
        """Take a gradient into the moments, and return the direction of the step."""
        modes = range(3 if gradient.ndim == 4 else 0)
        if modes:
            gradient = gradient.flatten(2).contiguous()  # [outputs, inputs, places]
        first_decay, second_decay = group["betas"]
        if not state:
            state["step"] = torch.zeros(())
            state["mean"], state["second"] = torch.zeros_like(gradient), torch.zeros_like(gradient)
            for mode in modes:
                products = _correlate(gradient, mode)
                state[f"moments{mode}"] = (1 - second_decay) * products
                state[f"axes{mode}"] = _settle(torch.linalg.eigh(products.cpu()).eigenvectors, products)
            if modes:
                # Along its own axes a gradient is mostly zero: what rounding leaves there is no direction.
                return torch.zeros_like(gradient)
        state["step"] += 1
        step = int(state["step"])

        axes = [state[f"axes{mode}"] for mode in modes]
        state["mean"].lerp_(gradient, 1 - first_decay)
        state["second"].lerp_(_project(gradient, axes).square(), 1 - second_decay)
        scale = (state["second"] / (1 - second_decay**step)).sqrt() + group["eps"]
        change = _project(state["mean"], axes) / (1 - first_decay**step) / scale
        change = _project(change, [basis.mT for basis in axes])

        for mode in modes:
            state[f"moments{mode}"].lerp_(_correlate(gradient, mode), 1 - second_decay)
            if step % group["interval"] == 0:
                _refresh(state, mode)
        return change


def _correlate(gradient: Tensor, mode: int) -> Tensor:
    """Return the products of the gradient's slices along a mode with each other."""
    slices = gradient.movedim(mode, 0).flatten(1)
    return slices @ slices.mT


def _project(gradient: Tensor, axes: Sequence[Tensor]) -> Tensor:
    """Return a gradient's coordinates along the columns of axes, one orthogonal matrix per mode."""
    for basis in axes:
        # Takes the first mode away and appends its coordinates: after all modes their order is the old one.
        gradient = torch.tensordot(gradient, basis, ([0], [0]))
    return gradient


def _refresh(state: dict[str, Any], mode: int) -> None:
    """Turn the axes of a mode towards the eigenvectors of its moments by one step of orthogonal iteration."""
    axes = state[f"axes{mode}"]
    product = state[f"moments{mode}"] @ axes
    # Orthogonal iteration sorts by size; what is known along an axis has to follow it.
    order = (axes * product).sum(0).argsort(descending=True)
    state["second"] = state["second"].index_select(mode, order)
    state[f"axes{mode}"] = _settle(torch.linalg.qr(product[:, order].cpu()).Q, product)


def _settle(axes: Tensor, like: Tensor) -> Tensor:
    """Move axes, found on the CPU, to where a tensor is, row by row.

    MPS decomposes nothing, and a GPU is no faster at these sizes. The last bits of products depend on the
    order in memory, and a run that is resumed reads rows.
    """
    return axes.contiguous().to(like.device)
