"""The shape of a network: everything that is needed to build one before its weights are loaded."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Literal

from ..errors import WeightsError

Pooling = Literal["average", "max"]


@dataclass(frozen=True)
class Architecture:
    """Widths and depths of an encoder and of the decoder that goes back up its scales.

    Attributes:
        widths: Channels at every scale, finest first; each scale has half the height and width of the
            one before.
        convolutions: 3x3 convolutions of the encoder at every scale.
        decoder_convolutions: Those of the decoder; None for as many as the encoder's.
        pooling: How the encoder halves its features. Averages shift smoothly with the picture, which keeps
            video calm; "max" is for encoders with the weights of VGG-19.
        negative_slope: Of the activations below zero. With 0, a ReLU, most coarse channels die in training:
            whitening takes their scale away, and with it the gradient that would hold them where they act.
    """

    widths: tuple[int, ...] = (16, 32, 64, 128, 64)
    convolutions: tuple[int, ...] = (2, 2, 2, 1, 1)
    pooling: Pooling = "average"
    decoder_convolutions: tuple[int, ...] | None = None
    negative_slope: float = 0.1

    def __post_init__(self) -> None:
        depths = (self.convolutions, self.decoder_depths)
        if not self.widths or any(len(depth) != len(self.widths) for depth in depths):
            counts = [len(depth) for depth in depths]
            raise WeightsError(f"architecture of {len(self.widths)} widths, {counts} depths")
        if min(*self.widths, *self.convolutions, *self.decoder_depths) < 1:
            raise WeightsError(f"architecture {self} has an empty scale")
        if self.pooling not in {"average", "max"}:
            raise WeightsError(f"architecture with unknown pooling {self.pooling!r}")
        if not 0 <= self.negative_slope <= 1:
            raise WeightsError(f"architecture with activations of slope {self.negative_slope}")

    @property
    def decoder_depths(self) -> tuple[int, ...]:
        """3x3 convolutions of the decoder at every scale."""
        return self.convolutions if self.decoder_convolutions is None else self.decoder_convolutions

    @property
    def stride(self) -> int:
        """Pixels of the picture per pixel of the deepest features."""
        return 1 << (len(self.widths) - 1)

    def to_json(self) -> str:
        """Write the architecture as it stands in the header of a weights file."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Architecture:
        """Read what `to_json` wrote.

        Raises:
            WeightsError: The text is no architecture of this program.
        """
        try:
            fields = json.loads(text)
            widths, convolutions = (tuple(map(int, fields.pop(name))) for name in ("widths", "convolutions"))
            decoder = fields.pop("decoder_convolutions", None)
            decoder = None if decoder is None else tuple(map(int, decoder))
            slope = float(fields.pop("negative_slope", 0))  # older files have none: ReLUs
            return cls(widths, convolutions, decoder_convolutions=decoder, negative_slope=slope, **fields)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise WeightsError(f"unknown architecture {text!r}", hint="update styletransfer") from error
