"""Stylize tensors with a loaded model."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch
from torch import Tensor

from ..errors import OptionError, StyleTransferError
from ..linalg import NumericalError
from ..model import Autoencoder, StyleStatistics, measure_levels
from ..options import RuntimeOptions, StylizeOptions
from ..transfer import blend_statistics
from .color import keep_chroma
from .device import resolve_device, resolve_precision


class StylizationPipeline:
    """A model on its device, ready for any number of pictures.

    Args:
        model: The network; moved to the device.
        fingerprint: SHA-256 of its weights, the identity that the style statistics carry.
        runtime: Device, precision, threads and seed.

    Raises:
        OptionError: The machine lacks the device or the precision.
    """

    def __init__(self, model: Autoencoder, fingerprint: str, runtime: RuntimeOptions | None = None) -> None:
        runtime = runtime or RuntimeOptions()
        self.device = resolve_device(runtime.device)
        self.precision = resolve_precision(runtime.precision, self.device)
        self.fingerprint = fingerprint
        if runtime.threads is not None:
            torch.set_num_threads(runtime.threads)
        torch.manual_seed(runtime.seed)
        self.model = model.to(self.device).to(memory_format=torch.channels_last)

    def measure(self, style: Tensor) -> StyleStatistics:
        """Compute what the transfer needs of a style picture [1, 3, H, W] in 0..1."""
        with self._computing():
            levels = measure_levels(self.model.encode(self._place(style)))
        return StyleStatistics(levels, self.fingerprint).to("cpu")

    def stylize(self, content: Tensor, style: StyleStatistics, options: StylizeOptions) -> Tensor:
        """Repaint a picture.

        Args:
            content: [1, 3, H, W] in 0..1, any size from a single pixel.
            style: Of one style or a blend of several, measured by this model.
            options: Of these, alpha, transform and preserve_color; sizes are the caller's.

        Returns:
            [1, 3, H, W] in 0..1, float32, on the CPU.

        Raises:
            OptionError: The statistics were measured by another model.
            StyleTransferError: The computation met NaN or infinity.
        """
        if style.model != self.fingerprint:
            raise OptionError("the style statistics are of another model", hint="measure the style again")
        with self._computing():
            placed = self._place(content)
            features = self.model.encode(placed)
            targets = style.to(self.device).levels
            if options.alpha < 1:
                own = measure_levels(features)
                targets = blend_statistics([own, targets], [1 - options.alpha, options.alpha])
            stylized = self.model.decode(features, targets, options.transform).float().clamp(0, 1)
            if options.preserve_color == "luma":
                stylized = keep_chroma(stylized, placed)
        return stylized.cpu()

    def _place(self, pictures: Tensor) -> Tensor:
        return pictures.to(self.device, torch.float32, memory_format=torch.channels_last)

    @contextlib.contextmanager
    def _computing(self) -> Iterator[None]:
        """Compute without gradients, in the chosen precision; say in one line when numbers go wrong."""
        low = self.precision != torch.float32
        with torch.inference_mode(), torch.autocast(self.device.type, self.precision, enabled=low):
            try:
                yield
            except NumericalError as error:
                raise StyleTransferError(f"the transfer failed: {error}", hint="try --precision fp32") from error
