"""How much a network stretches small changes of one input: the largest singular value of its Jacobian."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

STEPS = 30


def largest_local_gain(
    network: Callable[[Tensor], Tensor], image: Tensor, generator: torch.Generator
) -> float:
    """Find a change of an image that a network stretches much, by power iteration on J^T J.

    Args:
        network: Differentiable at the image.
        image: [1, C, H, W].
        generator: Of the start.

    Returns:
        The largest ||J v|| / ||v|| met: at most the Lipschitz constant of the network.
    """
    image = image.detach().requires_grad_()
    with torch.enable_grad():
        output = network(image)
        # J^T u is linear in u, so that the gradient of <J^T u, v> in u is J v, wherever u is.
        cotangent = torch.zeros_like(output, requires_grad=True)
        (pulled,) = torch.autograd.grad(output, image, cotangent, create_graph=True)
    direction = torch.randn(image.shape, generator=generator).to(image)
    gain = 0.0
    for _ in range(STEPS):
        size = direction.norm()
        if not size > 0:
            break
        (moved,) = torch.autograd.grad(pulled, cotangent, direction / size, retain_graph=True)
        gain = max(gain, moved.norm().item())
        (direction,) = torch.autograd.grad(output, image, moved, retain_graph=True)
    return gain
