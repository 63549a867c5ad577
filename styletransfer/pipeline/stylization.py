"""Stylize tensors with a loaded model."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from functools import cached_property
from threading import Lock
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from ..errors import MemoryLimitError, OptionError, StyleTransferError
from ..linalg import NumericalError
from ..model import Autoencoder, StyleStatistics
from ..options import RuntimeOptions, StylizeOptions, parse_bytes
from ..transfer import blend_statistics
from .arithmetic import ARITHMETICS
from .canvas import Canvas
from .coloring import Coloring
from .device import resolve_device, resolve_precision
from .engine import Engine, Fit, Levels, Plan
from .memory import available_memory, keep_resident_below, resident_memory
from .planning import MIB, modest_bytes, plan_passes, strip_bytes
from .reduction import add_enlarged, average_blocks
from .thumbnail import make_thumbnail

# How much of what a copy was changed by goes into the picture: the whole of it would cover thin lines of the
# content, and the statistics are reached without.
UNDERPAINTING = 0.8
# Pixels from which on freed memory goes back to the system: below, the time that it takes to come again
# (0.2 s of 0.6 at 1024 x 1024) counts for more.
LARGE = 2**22


class StylizationPipeline:
    """A model on its device, ready for any number of pictures, from any number of threads.

    Pictures come and go as samples [3, H, W] or [1, 3, H, W]: uint8, uint16 or float in 0..1. Integers are
    converted strip by strip, so that a large picture never exists as floats.

    Args:
        model: The network.
        fingerprint: SHA-256 of its weights, the identity that the style statistics carry.
        runtime: Device, precision and threads; the transfer draws no random numbers.

    Raises:
        OptionError: The machine lacks the device or the precision.
    """

    def __init__(self, model: Autoencoder, fingerprint: str, runtime: RuntimeOptions | None = None) -> None:
        runtime = runtime or RuntimeOptions()
        self.device = resolve_device(runtime.device)
        self.arithmetic = resolve_precision(runtime.precision, self.device)
        self.runtime = runtime
        self.fingerprint = fingerprint
        if runtime.threads is not None:
            torch.set_num_threads(runtime.threads)
        self.engine = Engine(model, self.arithmetic, self.device)
        self._model = model
        # Plans for a GPU count on all of its memory; threads still move and write pictures beside each other.
        self._occupied = resident_memory()  # by libraries and weights, which no limit changes
        self._turn = contextlib.nullcontext() if self.device.type == "cpu" else Lock()
        self._colorings: WeakKeyDictionary[StyleStatistics, tuple[str, Coloring]] = WeakKeyDictionary()

    @cached_property
    def _fine_engine(self) -> Engine:
        """What paints results of more than eight bits, where mixed rounding would show."""
        mixes = self.arithmetic.name == "mixed"
        return Engine(self._model, ARITHMETICS["fp32"], self.device) if mixes else self.engine

    def measure(self, style: Tensor) -> StyleStatistics:
        """Compute what the transfer needs of a style picture."""
        samples = as_samples(style)
        with self._computing():
            levels = self.engine.measure(samples, self._plan(self.engine, samples))
        return StyleStatistics(levels, self.fingerprint)

    def stylize(
        self,
        content: Tensor,
        style: StyleStatistics,
        options: StylizeOptions,
        dtype: torch.dtype | None = None,
    ) -> Tensor:
        """Repaint a picture.

        Args:
            content: Any size from a single pixel.
            style: Of one style or a blend of several, measured by this model.
            options: Of these, all but the sizes and style_weights, which are the caller's.
            dtype: Of the result, uint8, uint16 or float32; None for the content's. Mixed precision is for
                uint8, the others, and what is painted first for larger strokes, are computed in float32.

        Returns:
            The shape of the content, on the CPU; floats are in 0..1.

        Raises:
            OptionError: The statistics were measured by another model or for another stroke scale.
            MemoryLimitError: The picture cannot be computed within the limit of memory.
            StyleTransferError: The computation met NaN or infinity.
        """
        if style.model != self.fingerprint:
            raise OptionError("the style statistics are of another model", hint="measure the style again")
        if options.stroke_scale not in {None, style.stroke_scale}:
            raise OptionError(
                f"the style was measured for stroke scale {style.stroke_scale}, not {options.stroke_scale}",
                hint="measure it again, for this one",
            )
        original = samples = as_samples(content)
        dtype = dtype or content.dtype
        engine = self.engine if dtype == torch.uint8 else self._fine_engine
        result_bytes = samples.numel() * dtype.itemsize
        over = None
        if style.underpainting is not None:
            # What does not fit is refused before any work. The copy is painted over where its type allows it.
            kept = 0 if dtype == samples.dtype and samples.device.type == "cpu" else samples.nbytes
            self._plan(engine, samples, result_bytes + kept)
            samples = over = self._underpaint(samples, style.underpainting, style.stroke_scale, options)
            if samples[0].numel() == LARGE:  # below, it takes too long; above, it is done for every plan
                keep_resident_below(0)  # an enlarged style has left holes as large as its strips
        # Rows are read once in the last pass, before they are painted.
        canvas = Canvas(original, dtype, keep_chroma=options.preserve_color == "luma", over=over)
        plan = self._plan(engine, samples, 0 if canvas.pixels is over else result_bytes)

        def blend(own: Levels) -> Coloring:
            levels = blend_statistics([own, style.levels], [1 - options.alpha, options.alpha])
            return Coloring(levels, options.transform)

        with self._computing():
            coloring = self._color(style, options.transform) if options.alpha == 1 else blend
            if options.statistics == "exact":
                fit = engine.fit(samples, coloring, plan)
            else:
                thumbnail = make_thumbnail(samples)
                small = engine.fit(thumbnail, coloring, self._plan(engine, thumbnail))
                fit = Fit(small.kernels, small.recolor)  # what is stored is of another size
            engine.paint(samples, fit, plan, canvas.paint)
        return canvas.pixels.view(content.shape)

    def _underpaint(
        self, samples: Tensor, style: StyleStatistics, scale: int, options: StylizeOptions
    ) -> Tensor:
        """Paint a small copy and give the picture its colours and strokes."""
        small = average_blocks(samples, scale)
        painted = self.stylize(small, style, replace(options, stroke_scale=1, preserve_color="none"))
        return add_enlarged(samples, (painted.to(small.device) - small).mul_(UNDERPAINTING), scale)

    def _plan(self, engine: Engine, samples: Tensor, result_bytes: int = 0) -> Plan:
        """Plan the passes over a picture within the limit of the user or what the machine has left.

        Raises:
            MemoryLimitError: Strips of the least height would not fit into the user's limit.
        """
        height, width = samples.shape[1:]
        pixels = height * width
        limited = self.runtime.max_memory is not None
        # Not yet at LARGE itself, 2048 x 2048, where what comes back costs more than a twentieth of the time.
        if pixels > LARGE or limited:
            keep_resident_below(0)
        taken = max(resident_memory() - self._occupied, samples.nbytes) + result_bytes
        limit = None
        if self.runtime.max_memory is not None:
            limit = parse_bytes(self.runtime.max_memory) - taken
            if (least := strip_bytes(engine, width, height)) > limit:
                raise MemoryLimitError(
                    f"{width}x{height} pixels need {(taken + least) // MIB + 1}M, {self.runtime.max_memory} "
                    "is the limit",
                    hint="allow more memory or make the picture smaller",
                )
        elif self.device.type == "cpu" and (available := available_memory()) is not None:
            limit = min(modest_bytes(pixels), available // 2)
        elif self.device.type != "cpu":
            limit = 2**62
        plan = plan_passes(engine, samples, tile=self.runtime.tile, limit=limit)
        if limit is None or not (pixels >= LARGE or limited):
            return plan
        return replace(plan, ceiling=self._occupied + taken + limit)

    def _color(self, style: StyleStatistics, transform: str) -> Coloring:
        """Return the target that a style is, worked out once as long as the style exists."""
        if self._colorings.get(style, (None, None))[0] != transform:
            self._colorings[style] = transform, Coloring(style.levels, transform)
        return self._colorings[style][1]

    @contextlib.contextmanager
    def _computing(self) -> Iterator[None]:
        """Compute without gradients; say in one line when numbers go wrong."""
        with self._turn, torch.no_grad():  # not inference_mode: results are for callers to go on with
            try:
                yield
            except NumericalError as error:
                hint = None if self.arithmetic.name == "fp32" else "try --precision fp32"
                raise StyleTransferError(f"the transfer failed: {error}", hint=hint) from error


def as_samples(picture: Tensor) -> Tensor:
    """View a picture [3, H, W] or [1, 3, H, W] as [3, H, W], without its graph."""
    return picture.detach()[0] if picture.dim() == 4 else picture.detach()
