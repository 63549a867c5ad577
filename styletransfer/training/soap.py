"""SOAP, an optimizer that runs Adam in the eigenbasis of the second moments of each kernel's gradients.

Whitening couples all channels of a scale, so the loss is far steeper along some mixtures of channels than
along others. Adam scales single weights and cannot see that. SOAP keeps the second moments of a kernel's
gradients along three modes (output channels, input channels, the nine positions), rotates the gradient into
their eigenvectors, takes Adam's step there, and rotates it back.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn


class SOAP(torch.optim.Optimizer):
    """Shampoo with Adam in the preconditioner's eigenbasis.

    Parameters that are not kernels of convolutions (biases, skips) are updated by plain Adam. Directions in
    which a kernel has no gradient at all, such as those of a dead channel, drift a little by rounding.

    Args:
        parameters: Parameters to train. Those without a gradient stay as they are.
        lr: Learning rate. Values from one to two times Adam's work well.
        betas: Decays per step of the mean of the gradients and of their second moments.
        eps: Added to the root of the second moments.
        interval: Number of steps between updates of the axes, each of which takes a QR decomposition per
            mode.

    Source: Vyas et al. 2024 (arXiv 2409.11321), algorithm 3.
    Differs: the second moments decay by 0.99, not 0.95, because batches are small; the positions of a 3x3
    kernel are one mode of size nine, because not every pattern is the product of a row and a column.
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
        """Update every parameter that has a gradient."""
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    change = self._advance(self.state[parameter], parameter.grad, group)
                    parameter.sub_(change.view(parameter.shape), alpha=group["lr"])

    def _advance(self, state: dict[str, Any], gradient: Tensor, group: dict[str, Any]) -> Tensor:
        """Update the moments with a gradient and return the direction of the step.

        Args:
            state: State of the parameter. It is filled at the first call.
            gradient: Gradient of the parameter.
            group: Settings of the parameter's group.

        Returns:
            The direction, which the learning rate scales; [outputs, inputs, positions] for kernels.
        """
        modes = range(3 if gradient.ndim == 4 else 0)
        if modes:
            gradient = gradient.flatten(2).contiguous()  # [outputs, inputs, positions]
        first_decay, second_decay = group["betas"]
        if not state:
            state["step"] = torch.zeros(())
            state["mean"], state["second"] = torch.zeros_like(gradient), torch.zeros_like(gradient)
            for mode in modes:
                products = _correlate(gradient, mode)
                state[f"moments{mode}"] = (1 - second_decay) * products
                state[f"axes{mode}"] = _copy_axes(torch.linalg.eigh(products.cpu()).eigenvectors, products)
            if modes:
                # In its own eigenbasis the first gradient is mostly rounding, which Adam would scale to full
                # steps.
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
                _update_axes(state, mode)
        return change


def _correlate(gradient: Tensor, mode: int) -> Tensor:
    """Return the inner products of the gradient's slices along a mode, [n, n] for a mode of size n."""
    slices = gradient.movedim(mode, 0).flatten(1)
    return slices @ slices.mT


def _project(gradient: Tensor, axes: Sequence[Tensor]) -> Tensor:
    """Return the coordinates of a gradient along axes.

    Args:
        gradient: A tensor with one dimension per mode.
        axes: One orthogonal matrix per mode, whose columns are the axes.
    """
    for basis in axes:
        # This removes the first mode and appends its coordinates, so after all modes the order is the old
        # one.
        gradient = torch.tensordot(gradient, basis, ([0], [0]))
    return gradient


def _update_axes(state: dict[str, Any], mode: int) -> None:
    """Move the axes of a mode toward the eigenvectors of its moments by one step of orthogonal iteration."""
    axes = state[f"axes{mode}"]
    product = state[f"moments{mode}"] @ axes
    # Orthogonal iteration sorts the axes by eigenvalue, so the second moments along them are sorted likewise.
    order = (axes * product).sum(0).argsort(descending=True)
    state["second"] = state["second"].index_select(mode, order)
    state[f"axes{mode}"] = _copy_axes(torch.linalg.qr(product[:, order].cpu()).Q, product)


def _copy_axes(axes: Tensor, like: Tensor) -> Tensor:
    """Copy axes that were computed on the CPU to the device of a tensor, in row-major order.

    The decompositions run on the CPU because MPS has none and GPUs are no faster at these sizes. The order in
    memory matters: it changes the last bits of products, and a checkpoint restores row-major tensors.
    """
    return axes.contiguous().to(like.device)
