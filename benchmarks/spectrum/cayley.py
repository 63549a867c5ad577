"""Orthogonal convolutions by the Cayley transform, beside the couplings of `--model photo`.

An orthogonal layer is undone by its transpose, so that a network of such layers loses nothing.
This is the baseline that couplings were chosen over; nothing in the program uses it.
"""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor, nn

from styletransfer.model.coupling_network import Coupling
from styletransfer.spectrum import conv_symbol

from ..linalg.stopwatch import compare
from ..linalg.tables import Table

REPETITIONS = 3
SHIFT = (3, 5)
NEAR = 16  # pixels; taps beyond them would be lost at a halo of this width


class CayleyConv2d(nn.Module):
    """A convolution with circular padding that keeps every norm, for images of any size.

    A kernel's symbol on the frequencies of the image is made unitary, frequency by frequency. The layer is
    therefore a different one for every size, and its taps reach over the whole image.

    Args:
        inputs: Channels of the input. With as many outputs, the layer is orthogonal; with more, it keeps all
            norms; with fewer, its transpose does.
        outputs: Channels of the output.
        kernel: Rows and columns of the kernel that is learned.

    Source: Trockman & Kolter 2021 (arXiv 2104.07167), with its transform of matrices that are not square.
    Differs: the weight has no learned scale; frequencies come from the symbol, so that no size of image is
    special.
    """

    def __init__(self, inputs: int, outputs: int, kernel: int = 3) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(outputs, inputs, kernel, kernel))
        nn.init.xavier_normal_(self.weight)

    def unitary_symbol(self, size: tuple[int, int]) -> Tensor:
        """Return the matrices of the layer on images of a size: [H, W // 2 + 1, out, in], complex."""
        rows, columns = (2 * torch.pi * torch.arange(n).to(self.weight) / n for n in size)
        frequencies = torch.cartesian_prod(rows, columns[: size[1] // 2 + 1]).view(size[0], -1, 2)
        # Frequencies w and -w of a real image are conjugate, and so are their matrices: half of them suffice.
        symbol = conv_symbol(self.weight, frequencies).conj()
        if symbol.shape[-1] > symbol.shape[-2]:
            return _cayley(symbol.mH).mH
        return _cayley(symbol)

    def forward(self, images: Tensor) -> Tensor:
        """Map images [B, in, H, W] to [B, out, H, W]."""
        return _multiply(self.unitary_symbol((images.shape[2], images.shape[3])), images)

    def transpose(self, images: Tensor) -> Tensor:
        """Map [B, out, H, W] to [B, in, H, W] with the transpose, the inverse of a square layer."""
        return _multiply(self.unitary_symbol((images.shape[2], images.shape[3])).mH, images)

    def kernel(self, size: tuple[int, int]) -> Tensor:
        """Return the layer on images of a size as a kernel of their size, [out, in, H, W].

        It is for a plain convolution whose input is padded by a period less one pixel, at the right and at
        the bottom.
        """
        symbol = self.unitary_symbol(size).permute(2, 3, 0, 1).conj().resolve_conj()
        kernel: Tensor = torch.fft.irfft2(symbol, s=size)
        return kernel


def _cayley(matrices: Tensor) -> Tensor:
    """Return matrices [..., out, in], out >= in, whose columns are orthonormal."""
    inputs = matrices.shape[-1]
    square, rest = matrices[..., :inputs, :], matrices[..., inputs:, :]
    skew = square - square.mH + rest.mH @ rest
    identity = torch.eye(inputs).to(skew)
    inverse = torch.linalg.inv(identity + skew)
    return torch.cat([inverse @ (identity - skew), -2 * rest @ inverse], -2)


def _multiply(symbol: Tensor, images: Tensor) -> Tensor:
    waves = torch.fft.rfft2(images).permute(2, 3, 1, 0)  # [H, W // 2 + 1, in, B]
    product = (symbol @ waves).permute(3, 2, 0, 1)
    output: Tensor = torch.fft.irfft2(product, s=images.shape[2:])
    return output


class CouplingPair(nn.Module):
    """Two couplings of `--model photo`, after which every feature was changed once."""

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.first = Coupling(channels // 2, hidden, 1, 1)
        self.second = Coupling(channels // 2, hidden, 1, 1)

    def forward(self, images: Tensor) -> Tensor:
        """Map features [B, C, H, W] to as many."""
        a, b = images.chunk(2, 1)
        a = a + self.first(b)
        return torch.cat([a, b + self.second(a)], 1)

    def transpose(self, images: Tensor) -> Tensor:
        """Undo `forward`."""
        a, b = images.chunk(2, 1)
        b = b - self.second(a)
        return torch.cat([a - self.first(b), b], 1)


def compare_invertible_layers(channels: int, size: int) -> Table:
    """Compare layers that can be undone with a plain convolution on one image, in float32.

    Times are CPU milliseconds on one core; a step is a forward and a backward pass. "undone to" is the
    largest error of the inverse on features of variance 1. "far" is the share of the energy of a pixel's
    response that lies more than 16 pixels away, or around the border. "after a shift" and "at half the size"
    are relative changes of the output's interior, which a layer without its borders would not show.
    """
    torch.manual_seed(0)
    layers: dict[str, nn.Module] = {
        "plain 3 x 3": nn.Conv2d(channels, channels, 3, padding=1, padding_mode="replicate", bias=False),
        "Cayley 3 x 3": CayleyConv2d(channels, channels),
        "two couplings": CouplingPair(channels, channels),
    }
    images = torch.randn(1, channels, size, size)
    times = compare({name: partial(_apply, layer, images) for name, layer in layers.items()}, REPETITIONS)
    steps = compare({name: partial(_step, layer, images) for name, layer in layers.items()}, REPETITIONS)
    table = Table(
        f"Invertible layers, {channels} channels, {size} x {size}",
        [
            "layer",
            "parameters",
            "forward, ms",
            "step, ms",
            "undone to",
            "far",
            "after a shift",
            "at half the size",
        ],
    )
    for name, layer in layers.items():
        undone = "-"
        if isinstance(layer, CayleyConv2d | CouplingPair):
            with torch.no_grad():
                undone = f"{(layer.transpose(layer(images)) - images).abs().max().item():.0e}"
        shares = far_share(layer, channels, size), *_changes(layer, images)
        count = sum(each.numel() for each in layer.parameters())
        cells = f"{times[name]:.0f}", f"{steps[name]:.0f}", undone
        table.add(name, count, *cells, *(f"{share:.0e}" for share in shares))
    return table


@torch.no_grad()
def far_share(layer: nn.Module, channels: int, size: int) -> float:
    """Return the share of the energy of the middle pixel's response that is more than 16 pixels away."""
    black = torch.zeros(1, channels, size, size)
    impulse = black.clone()
    impulse[:, :, size // 2, size // 2] = 1
    energy = (layer(impulse) - layer(black)).square()
    near = slice(size // 2 - NEAR, size // 2 + NEAR + 1)
    far = energy.clone()
    far[..., near, near] = 0
    return float(far.sum() / energy.sum())


@torch.no_grad()
def _changes(layer: nn.Module, images: Tensor) -> tuple[float, float]:
    """Return the relative changes of a corner's interior after a shift of the image, and alone."""
    half, border = images.shape[-1] // 2, images.shape[-1] // 8
    inner = slice(border, half - border)
    output = layer(images)[..., inner, inner]
    shifted = layer(images.roll(SHIFT, (2, 3))).roll((-SHIFT[0], -SHIFT[1]), (2, 3))[..., inner, inner]
    alone = layer(images[..., :half, :half])[..., inner, inner]
    return ((shifted - output).norm() / output.norm()).item(), (
        (alone - output).norm() / output.norm()
    ).item()


@torch.no_grad()
def _apply(layer: nn.Module, images: Tensor) -> None:
    layer(images)


def _step(layer: nn.Module, images: Tensor) -> None:
    layer.zero_grad()
    layer(images.clone().requires_grad_()).square().mean().backward()
