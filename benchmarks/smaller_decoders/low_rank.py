"""Kernels of low rank: their singular value decomposition as a parametrization, and as two layers."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from styletransfer.model import Autoencoder
from styletransfer.model.autoencoder import Decoder
from styletransfer.spectrum import compose, factorize, find_convolutions
from styletransfer.spectrum.composition import Unfolding


class SingularVectors(nn.Module):
    """A parametrization of a kernel by singular vectors and values: U diag(s) V^T of its unfolding.

    The vectors are stored as the kernels of the two layers that they stand for (see `factorize`), so that
    optimizers treat them as kernels.

    Args:
        rank: Number of singular values that are kept.
        unfolding: The unfolding that is decomposed.

    Source: Yang et al. 2020 (arXiv 2004.09031), SVD training with spatial-wise ("separable") or channel-wise
    ("channels") decomposition. Differs: starts from trained kernels.
    """

    def __init__(self, rank: int, unfolding: Unfolding) -> None:
        super().__init__()
        self.rank, self.unfolding = rank, unfolding

    def right_inverse(self, weight: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Decompose a kernel [out, in, h, w] into kernels of unit vectors, and the values [rank] between."""
        first, second = factorize(weight, self.rank, self.unfolding)
        roots = first.flatten(1).norm(dim=1)  # `factorize` gives either side the root of a singular value
        first, second = first / roots[:, None, None, None], second / roots[:, None, None]
        return first, roots.square(), second

    def forward(self, first: Tensor, values: Tensor, second: Tensor) -> Tensor:
        """Return the kernel [out, in, h, w]."""
        with torch.autocast(first.device.type, enabled=False):
            return compose(first * values[:, None, None, None], second)


class SingularPenalty(nn.Module):
    """Penalties on all singular vectors and values of a decoder that `decompose_decoder` has decomposed.

    Args:
        decoder: The decoder.
        orthogonality: Weight of ||U^T U - I||^2 / rank^2, and of the same of V.
        sparsity: Weight of the Hoyer measure |s|_1 / |s|_2 of the singular values.

    Source: Yang et al. 2020 (arXiv 2004.09031).
    """

    def __init__(self, decoder: Decoder, orthogonality: float, sparsity: float = 0.0) -> None:
        super().__init__()
        self.layers = list(find_convolutions(decoder.scales).values())
        self.orthogonality, self.sparsity = orthogonality, sparsity

    def forward(self) -> Tensor:
        """Return the weighted sum over all kernels."""
        total = torch.zeros(())
        for layer in self.layers:
            _, values, _ = factors_of(layer)
            total = total + self.orthogonality * orthogonality_defect(layer)
            total = total + self.sparsity * values.abs().sum() / values.norm()
        return total


def orthogonality_defect(layer: nn.Module) -> Tensor:
    """Return ||U^T U - I||^2 / rank^2 of a kernel plus the same of V, 0 for orthonormal vectors."""
    first, values, second = factors_of(layer)
    identity, rank = torch.eye(len(values)).to(values), len(values)
    vectors = first.flatten(1), second.transpose(0, 1).flatten(1)
    defects = [(each @ each.mT - identity).square().sum() / rank**2 for each in vectors]
    return defects[0] + defects[1]


def decompose_decoder(network: Autoencoder, share: float | None, unfolding: Unfolding) -> None:
    """Replace the kernels of a decoder by their singular vectors and values.

    Args:
        network: The network, which is changed. Its keys stay as they are.
        share: Share of the parameters of every kernel that its factors take together; None keeps every
            singular value.
        unfolding: The unfolding that is decomposed.
    """
    for layer in list(find_convolutions(network.decoder.scales).values()):
        rank = rank_of_share(layer.weight, share, unfolding)
        parametrize.register_parametrization(layer, "weight", SingularVectors(rank, unfolding))


def rank_of_share(weight: Tensor, share: float | None, unfolding: Unfolding) -> int:
    """Return the rank at which the factors of a kernel have a share of its parameters; None for all of it."""
    outputs, inputs, height, width = weight.shape
    split = 1 if unfolding == "separable" else width
    most = min(inputs * height * split, width // split * outputs)
    per_rank = inputs * height * split + width // split * outputs
    return most if share is None else max(1, min(most, int(share * weight.numel() / per_rank)))


def factorize_decoder(network: Autoencoder, share: float, unfolding: Unfolding) -> None:
    """Replace every convolution of a decoder by the two thinner ones of its best factors.

    Args:
        network: The network, which is changed. Its keys stay as they are.
        share: Share of the parameters of every kernel that its factors take together.
        unfolding: The unfolding that is decomposed.
    """
    for scale in network.decoder.scales:
        assert isinstance(scale, nn.Sequential)
        for index, layer in enumerate(scale):
            if isinstance(layer, nn.Conv2d):
                rank = rank_of_share(layer.weight, share, unfolding)
                scale[index] = two_layers(layer, *factorize(layer.weight.detach(), rank, unfolding))


def two_layers(layer: nn.Conv2d, first: Tensor, second: Tensor) -> nn.Sequential:
    """Return the chain of two kernels in place of a layer that keeps the size; borders are replicated.

    Replicating the columns after the first layer is the same as before it, because it has mixed no columns,
    or all of its taps.
    """
    parts = []
    for kernel, bias in ((first, None), (second, layer.bias)):
        outputs, inputs, height, width = kernel.shape
        part = nn.Conv2d(
            inputs,
            outputs,
            (height, width),
            padding=(height // 2, width // 2),
            padding_mode="replicate",
            bias=bias is not None,
        )
        part.weight = nn.Parameter(kernel)
        if bias is not None:
            part.bias = nn.Parameter(bias.detach().clone())
        parts.append(part)
    return nn.Sequential(*parts)


def factors_of(layer: nn.Module) -> tuple[Tensor, Tensor, Tensor]:
    """Return the unit vectors, the values and the unit vectors of a decomposed kernel (`SingularVectors`)."""
    chains = layer.parametrizations
    assert isinstance(chains, nn.ModuleDict)
    chain = chains["weight"]
    return (
        chain.get_parameter("original0"),
        chain.get_parameter("original1"),
        chain.get_parameter("original2"),
    )
