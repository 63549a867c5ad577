"""What caps on the norms of convolutions do to a decoder: certified products, and stretches that were met."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from styletransfer.media import read_picture
from styletransfer.model import Autoencoder, load_model, measure_levels
from styletransfer.spectrum import lipschitz
from styletransfer.spectrum.lipschitz import jacobian_norm

from ..linalg.tables import Table

EXAMPLES = Path(__file__).parents[2] / "examples"
CONTENT, STYLE = EXAMPLES / "content" / "china.jpg", EXAMPLES / "style" / "watercolour.jpg"


def compare_decoders(files: Sequence[Path], size: int) -> Table:
    """Bound what stands between the transfers of every model's decoder; measure the network at a picture.

    The product is that of the certified constants of all scales: convolutions, activations and upsampling.
    Left out are the transfers, which divide by the deviation of whatever features they are given, the skips
    and the encoder.
    """
    table = Table(
        f"Decoders on {size} x {size} pixels",
        ["model", "largest norm", "certified product", "local stretch of the network"],
    )
    content, style = (_read(path, size) for path in (CONTENT, STYLE))
    for file in files:
        model = load_model(file)
        product, largest = bound_decoder(model, size)
        with torch.no_grad():
            targets = measure_levels(model.encode(style))
        network = partial(_stylize, model, targets)
        stretch = jacobian_norm(network, content, torch.Generator().manual_seed(0))
        table.add(str(file), f"{largest:.2f}", f"{product:.3g}", f"{stretch:.2f}")
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
