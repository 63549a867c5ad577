"""What the pipelines of all architectures share: a device, a precision, turns, and the stop event."""

from __future__ import annotations

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from threading import Event, Lock

import torch
from torch import Tensor

from ..errors import CancelledError, StyleTransferError
from ..linalg import NumericalError
from ..model import StyleStatistics
from ..options import RuntimeOptions, StylizeOptions
from ..refinement import Refiner
from ..transfer.content_moments import MomentsRecord
from .device import resolve_device, resolve_precision
from .process_memory import resident_memory
from .streamed_maps import ProgressCallback


class Pipeline(ABC):
    """A model on its device, for any number of pictures, from any number of threads.

    Pictures are samples [3, H, W] or [1, 3, H, W]: uint8, uint16 or float in 0..1. Integers are converted
    strip by strip, so that a large picture never exists in full as floats.

    Args:
        fingerprint: SHA-256 of the weights, which style statistics carry.
        runtime: Device, precision and memory.
        stop: An event that is checked after every strip; once it is set, all work ends with a CancelledError.

    Attributes:
        paints: Whether the model paints strokes, which can be enlarged, matched and refined.

    Raises:
        OptionError: The machine lacks the device or the precision.
    """

    paints: bool

    def __init__(self, fingerprint: str, runtime: RuntimeOptions | None, stop: Event | None) -> None:
        runtime = runtime or RuntimeOptions()
        self.device = resolve_device(runtime.device)
        self.precision = resolve_precision(runtime.precision, self.device)
        self.runtime = runtime
        self.fingerprint = fingerprint
        self._stop = stop or Event()
        self._memory_at_start = resident_memory()  # libraries and weights, which no limit can reduce
        # A plan for a GPU counts on all of its memory, so pictures take turns there.
        self._turn = contextlib.nullcontext() if self.device.type == "cpu" else Lock()

    @abstractmethod
    def measure(
        self, style: Tensor, alpha: Tensor | None = None, *, exact: bool = False, patches: bool = True
    ) -> StyleStatistics:
        """Compute the statistics of a style picture.

        Args:
            style: The style. The colors of its transparent pixels must be like those beside them.
            alpha: Opacity [1, H, W], with which pixels count; None if all are opaque.
            exact: Whether to measure in float32 under mixed precision too, for results of more than 8 bits.
            patches: Whether to collect patches to match, if the model does that.
        """

    @abstractmethod
    def stylize(
        self,
        content: Tensor,
        style: StyleStatistics | Sequence[StyleStatistics],
        options: StylizeOptions,
        dtype: torch.dtype | None = None,
        progress: ProgressCallback | None = None,
        refiner: Refiner | None = None,
        alpha: Tensor | None = None,
        masks: Tensor | None = None,
        moments: MomentsRecord | None = None,
    ) -> Tensor:
        """Stylize a picture.

        Args:
            content: The content, of any size from a single pixel.
            style: Statistics of one style or a blend, measured by this model; with masks, one per mask.
            options: How the result looks. The sizes and style_weights are the caller's.
            dtype: Type of the result: uint8, uint16 or float32; None for the content's. Mixed precision is
                used for uint8 only; all else, and the underpainting, is computed in float32.
            progress: Called after every strip with the share of the work that is done, 0..1. An exception
                that it raises ends the work.
            refiner: Refines the small copy, or the result if there is no copy.
            alpha: Opacity [1, H, W] of the content, with which its pixels count; None if all are opaque. The
                colors of transparent pixels must be like those beside them, because the network sees them.
            masks: Where each style is painted, [S, H, W], uint8; None for everywhere. What no mask covers is
                decided by `options.outside`.
            moments: Moments to use instead of the content's; or a record for those that are measured.

        Returns:
            A picture in the shape of the content, on the CPU; floats are in 0..1. The content's own pixels
            stay exactly where no mask covers them.

        Raises:
            OptionError: The statistics were measured by another model or for another stroke scale.
            MemoryLimitError: The picture cannot be computed within the memory limit.
            StyleTransferError: The computation met NaN or infinity.
            CancelledError: The stop event was set.
        """

    def _check_stop(self, _: float) -> None:
        if self._stop.is_set():
            raise CancelledError

    def _reporter(self, progress: ProgressCallback | None, start: float, stop: float) -> ProgressCallback:
        """Return a callback for a part of the work that also checks the stop event."""

        def report(share: float) -> None:
            self._check_stop(share)
            if progress is not None:
                progress(start + (stop - start) * share)

        return report

    @contextlib.contextmanager
    def _computing(self) -> Iterator[None]:
        """Compute without gradients and explain numerical errors in one line."""
        with self._turn, torch.no_grad():  # not inference_mode, because callers may train on the results
            try:
                yield
            except NumericalError as error:
                hint = None if self.precision.name == "fp32" else "try --precision fp32"
                raise StyleTransferError(f"the transfer failed: {error}", hint=hint) from error
