"""Run exported graphs by onnxruntime, and compare them with the program."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib.resources import as_file, files
from typing import Any, NamedTuple

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..errors import ExportError
from ..media import read_picture, resize_picture
from ..model import LoadedModel
from ..options import DEFAULT_MATCH, RuntimeOptions, StylizeOptions
from ..pipeline import StylizationPipeline
from .style_content_graphs import CONTENT, MATCH, PICTURE, STYLE

# Largest differences to the program in float32, in levels of 255: of all but one pixel value in a thousand,
# and of every one.
MOST_LEVELS, LARGEST_LEVELS = 1.0, 2.0
# Long edge of the pictures that are compared, and the size of others, which is odd at every scale.
COMPARED_EDGE, ODD_SIZE = 256, (193, 255)

Array = NDArray[np.float32]
ProgressCallback = Callable[[float], None]


class Difference(NamedTuple):
    """How far two pictures differ, in levels of 255.

    Attributes:
        most: The 99.9th percentile of the absolute differences.
        largest: The largest of them.
    """

    most: float
    largest: float

    @classmethod
    def of(cls, found: Array, wanted: Array) -> Difference:
        """Compare two pictures of the same size, in 0..1."""
        levels = 255 * np.abs(found.astype(np.float64) - wanted)
        return cls(float(np.quantile(levels, 0.999)), float(levels.max()))


class GraphRunner:
    """The two graphs in onnxruntime, on the CPU.

    Args:
        style: The style graph, as the bytes of its file.
        content: The content graph.
        threads: Number of threads.
    """

    def __init__(self, style: bytes, content: bytes, *, threads: int) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3  # errors only, because warnings go to the terminal
        self._style, self._content = (
            onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
            for graph in (style, content)
        )
        self._takes_match = MATCH in {each.name for each in self._content.get_inputs()}

    def measure(self, style: Array) -> dict[str, Array]:
        """Measure a style [3, H, W] in 0..1."""
        names = [each.name for each in self._style.get_outputs()]
        return dict(zip(names, self._style.run(names, {STYLE: style[None]}), strict=True))

    def stylize(self, content: Array, values: Mapping[str, Array], match: float) -> Array:
        """Repaint a content [3, H, W] in 0..1."""
        inputs: dict[str, Any] = {CONTENT: content[None], **values}
        if self._takes_match:
            inputs[MATCH] = np.array([match], dtype=np.float32)
        picture: Array = self._content.run([PICTURE], inputs)[0][0]
        return picture


def compare_with_program(
    runner: GraphRunner, model: LoadedModel, progress: ProgressCallback | None = None
) -> Difference:
    """Compare the graphs with the program, in float32 on the CPU, on example pictures and a flat one.

    Args:
        runner: The graphs.
        model: The network that they were made of.
        progress: Called after every picture with the share of the work that is done, 0..1.

    Returns:
        The largest values over all pictures.

    Raises:
        ExportError: They differ by more than MOST_LEVELS or LARGEST_LEVELS.
    """
    pipeline = StylizationPipeline(model, RuntimeOptions(device="cpu", precision="fp32"))
    pairs = list_example_pairs()
    found = []
    for index, (content, style) in enumerate(pairs):
        match = DEFAULT_MATCH if index % 2 == 0 else index / len(pairs)
        wanted = pipeline.stylize(content, pipeline.measure(style), StylizeOptions(match=match))
        made = runner.stylize(content.numpy(), runner.measure(style.numpy()), match)
        found.append(Difference.of(made, wanted.numpy()))
        if progress is not None:
            progress((index + 1) / len(pairs))
    worst = Difference(max(each.most for each in found), max(each.largest for each in found))
    if not (worst.most <= MOST_LEVELS and worst.largest <= LARGEST_LEVELS):  # also for NaN
        raise ExportError(
            f"the exported graphs differ from the program by up to {worst.largest:.2g} levels of 255 "
            f"(99.9 %: {worst.most:.2g})",
            hint="nothing was written; try other versions of onnx and onnxruntime",
        )
    return worst


def list_example_pairs() -> list[tuple[Tensor, Tensor]]:
    """List contents with styles, [3, H, W] in 0..1, at an ordinary size, an odd one and that of a pixel."""
    contents, styles = (_read_examples(kind) for kind in ("content", "style"))
    pairs = [
        (content, styles[index % len(styles)])
        for index, content in enumerate([*contents, *(_resize(each, *ODD_SIZE) for each in contents[:2])])
    ]
    flat = torch.full((3, 20, 31), 0.3)
    return [*pairs, (flat, styles[0]), (contents[0][:, :1, :1], styles[-1]), (contents[-1], flat)]


def _read_examples(kind: str) -> list[Tensor]:
    found = []
    for entry in sorted(files("styletransfer.page").joinpath("examples", kind).iterdir(), key=str):
        with as_file(entry) as path:
            found.append(resize_picture(read_picture(path), COMPARED_EDGE).to_float()[0])
    return found


def _resize(picture: Tensor, height: int, width: int) -> Tensor:
    sizes: Sequence[int] = (height, width)
    return torch.nn.functional.interpolate(picture[None], sizes, mode="bilinear")[0]
