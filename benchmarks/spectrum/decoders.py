"""The effect of norm caps on decoders: certified products and measured norms of the Jacobian."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from styletransfer.media import read_picture
from styletransfer.model import Autoencoder, load_autoencoder, measure_levels
from styletransfer.spectrum import lipschitz
from styletransfer.spectrum.spectral_norm import jacobian_norm

from ..linalg.tables import Table

EXAMPLES = Path(__file__).parents[2] / "examples"
CONTENT, STYLE = EXAMPLES / "content" / "china.jpg", EXAMPLES / "style" / "watercolor.jpg"


def compare_decoders(files: Sequence[Path], size: int) -> Table:
    """Bound the layers between the transfers of every model's decoder, and measure the network at a picture.

    The certified product is that of the constants of all scales: convolutions, activations and upsampling. It
    leaves out the transfers, which divide by the deviation of the features that they are given, the skip
    connections and the encoder.
    """
    table = Table(
        f"Decoders on {size} x {size} pixels",
        ["model", "largest norm", "certified product", "norm of the network's Jacobian"],
    )
    content, style = (_read(path, size) for path in (CONTENT, STYLE))
    for file in files:
        model = load_autoencoder(file)
        product, largest = bound_decoder(model, size)
        with torch.no_grad():
            targets = measure_levels(model.encode(style))
        network = partial(_stylize, model, targets)
        jacobian = jacobian_norm(network, content, torch.Generator().manual_seed(0))
        table.add(str(file), f"{largest:.2f}", f"{product:.3g}", f"{jacobian:.2f}")
    return table


def bound_decoder(model: Autoencoder, size: int) -> tuple[float, float]:
    """Return the product of the certified constants of the scales, and the largest norm of a convolution."""
    product, largest = 1.0, 0.0
    for index, scale in enumerate(model.decoder.scales):
        assert isinstance(scale, nn.Sequential)
        up = [nn.Upsample(scale_factor=2, mode="bilinear")] if index else []
        report = lipschitz(nn.Sequential(*scale, *up), (size >> index, size >> index))
        product *= report.upper
        largest = max(largest, *(layer.upper for layer in report.layers if layer.kind == "Conv2d"))
    return product, largest


def _stylize(model: Autoencoder, targets: tuple[object, ...], content: Tensor) -> Tensor:
    return model.decode(model.encode(content), targets)  # type: ignore[arg-type]


def _read(path: Path, size: int) -> Tensor:
    pixels = read_picture(path).to_float()
    return F.interpolate(pixels, (size, size), mode="bilinear", antialias=True)
