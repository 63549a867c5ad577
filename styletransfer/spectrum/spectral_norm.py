"""The norm of a convolution, differentiable or followed through training, and of a network's Jacobian."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from .circulant_embedding import embed_in_circulant, has_circulant
from .conv_operator import ConvOperator, conv_operator
from .lanczos import lanczos, leading_vectors_of_groups
from .symbol_peaks import find_peaks, refine

STEPS = 60
RESIDUAL = 1e-4  # relative residual of a Ritz pair at which its gradient is right to about a percent
FOLLOWED = 2  # vectors that a tracker keeps
JACOBIAN_STEPS = 30


def spectral_norm(module: nn.Module, input_size: Sequence[int]) -> Tensor:
    """Compute the largest singular value of a convolutional layer, with its gradient.

    The gradient of ||T|| is that of u* T v at the leading singular vectors u and v. Where several peaks of
    the symbol compete, each is improved by Lanczos until one has won. Following a single one, or taking the
    highest peak of the symbol for the answer, can give the gradient of a different wave.

    Args:
        module: A `Conv2d`, a `ConvTranspose2d`, or a `Sequential` of padding modules and a `Conv2d`.
        input_size: Rows and columns of the layer's input.

    Returns:
        A scalar in the precision of the weight, differentiable in the weight. It is a lower bound of the
        norm, and close to it; `norm_bounds` gives certainty.

    Raises:
        TypeError: The module is not a two-dimensional convolution.
        ValueError: The image is smaller than the kernel or the padding needs.
    """
    operator = conv_operator(module, input_size)
    image = leading_images(operator.double(), 1).to(operator.weight)
    outputs = operator.apply(image)
    group = int(group_norms(operator, outputs.detach()).argmax())
    norm: Tensor = torch.linalg.vector_norm(_outputs_of_group(operator, outputs, group))
    return norm


def group_norms(operator: ConvOperator, outputs: Tensor) -> Tensor:
    """Return the norms of the outputs [1, out, H', W'] in every group of channels, [groups]."""
    norms: Tensor = torch.linalg.vector_norm(outputs.reshape(operator.groups, -1), dim=1)
    return norms


def _outputs_of_group(operator: ConvOperator, outputs: Tensor, group: int) -> Tensor:
    return outputs.chunk(operator.groups, 1)[group]


def leading_images(operator: ConvOperator, count: int, residual: float = RESIDUAL) -> Tensor:
    """Find the inputs that a convolution amplifies most.

    The groups of a grouped convolution are separate maps, each with its own leading inputs. An image holds
    those of all groups at once.

    Args:
        operator: The convolution, in float64.
        count: Number of images. The first holds the leading singular vectors; the others come from competing
            peaks of the symbol or smaller singular values, or are random where there are none.
        residual: Relative residual at which Lanczos ends.

    Returns:
        [count, in, H, W], each of norm 1 in each group of channels; vectors of singular value 0 may be 0.
    """
    generator = torch.Generator().manual_seed(0)
    shape = (count, *operator.input_shape)
    images = torch.randn(shape, generator=generator, dtype=torch.float64).to(operator.weight)
    images /= images.flatten(1).norm(dim=1).view(-1, 1, 1, 1)
    if operator.groups > 1:
        found = leading_vectors_of_groups(operator, images[0], count, 2 * STEPS, residual)
        images.zero_()[: len(found)] = found
    elif has_circulant(operator):
        circulant = embed_in_circulant(operator)
        refined = refine(circulant, find_peaks(circulant).peaks, STEPS, residual)
        for place, (_, image) in enumerate(refined[:count]):
            images[place] = image
    else:
        for space in lanczos(operator, images[0], 2 * STEPS):
            if space.residual < residual:
                break
        vector = space.largest_ritz_pair()[1]
        images[0] = (vector / vector.norm()).view(operator.input_shape)
    return images


class NormTracker(nn.Module):
    """Follow the norm of a layer while its weight changes a little between calls.

    The leading singular vector of every group of channels and its closest competitor are kept from call to
    call. Each call improves them by one step of subspace iteration, at about the cost of two forward and
    backward passes. Like the running statistics of a normalization they are buffers, which belong to a
    checkpoint.

    Args:
        operator: The layer at the size to follow; the vectors of its present weight are computed here.
    """

    outputs: Tensor  # [2, out, H', W'], the layer's outputs for the kept vectors at the last call

    def __init__(self, operator: ConvOperator) -> None:
        super().__init__()
        self._operator = replace(operator, weight=torch.empty(0))
        with torch.no_grad():
            images = leading_images(operator.double(), FOLLOWED).to(operator.weight)
            self.register_buffer("outputs", operator.apply(images).detach())

    def forward(self, weight: Tensor) -> Tensor:
        """Return the norm of the layer with a new weight, differentiable, in the precision of the weight."""
        with torch.autocast(weight.device.type, enabled=False):
            return self._follow(replace(self._operator, weight=weight))

    def _follow(self, operator: ConvOperator) -> Tensor:
        groups = operator.groups
        with torch.no_grad():
            images = operator.adjoint(self.outputs)
            columns = images.reshape(FOLLOWED, groups, -1).permute(1, 2, 0)  # [groups, inputs, 2]
            orthonormal = torch.linalg.qr(columns).Q
            images = orthonormal.permute(2, 0, 1).reshape(images.shape)
        outputs = operator.apply(images)
        with torch.no_grad():
            self.outputs.copy_(outputs)
            parts = [part.flatten(1) for part in self.outputs.chunk(groups, 1)]  # of [2, outputs]
            squares, mixtures = torch.linalg.eigh(torch.stack([part @ part.T for part in parts]))
            group = int(squares[:, -1].argmax())
            mixture = mixtures[group, :, -1]
        norm: Tensor = torch.linalg.vector_norm(
            mixture @ _outputs_of_group(operator, outputs, group).flatten(1)
        )
        return norm


def jacobian_norm(network: Callable[[Tensor], Tensor], image: Tensor, generator: torch.Generator) -> float:
    """Estimate the norm of a network's Jacobian at an image from below, by power iteration on J^T J.

    Args:
        network: Function that is differentiable at the image.
        image: [1, C, H, W].
        generator: Random numbers for the start.

    Returns:
        The largest ||J v|| / ||v|| found, which is at most the Lipschitz constant of the network.
    """
    image = image.detach().requires_grad_()
    with torch.enable_grad():
        output = network(image.clone())  # the network may work in place
        if not output.requires_grad:
            return 0.0
        # J^T u is linear in u, so that the gradient of <J^T u, v> in u is J v, wherever u is.
        cotangent = torch.zeros_like(output, requires_grad=True)
        (pulled_back,) = torch.autograd.grad(output, image, cotangent, create_graph=True, allow_unused=True)
    if pulled_back is None:  # the output does not depend on the image
        return 0.0
    direction = torch.randn(image.shape, generator=generator).to(image)
    largest = 0.0
    for _ in range(JACOBIAN_STEPS):
        size = direction.norm()
        if not size > 0:
            break
        (moved,) = torch.autograd.grad(pulled_back, cotangent, direction / size, retain_graph=True)
        largest = max(largest, moved.norm().item())
        (direction,) = torch.autograd.grad(output, image, moved, retain_graph=True)
    return largest
