"""Export a network: two graphs, checked against the program, with a description and instructions."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from styletransfer import __version__

from ..errors import ExportError, OutputExistsError, StyleTransferError
from ..files import write_atomically
from ..model import Architecture, Autoencoder, LoadedModel
from ..options import DEFAULT_MATCH
from .comparison import GraphRunner, ProgressCallback, compare_with_program
from .style_content_graphs import (
    CONTENT,
    MATCH,
    PICTURE,
    STYLE,
    build_content_graph,
    build_style_graph,
    list_style_values,
)

STYLE_FILE, CONTENT_FILE = "style.onnx", "content.onnx"
DESCRIPTION_FILE, README_FILE = "model.json", "README.md"
CALL = f"""\
Run {STYLE_FILE} on a style: {STYLE} [1, 3, H, W], float32 RGB in 0..1. Give all that it returns, under the
same names, to {CONTENT_FILE}, with {CONTENT} [1, 3, H, W] and, where it is an input, {MATCH} [1] in 0..1
({DEFAULT_MATCH} is the default of the program). It returns {PICTURE} [1, 3, H, W] in 0..1."""


def check_folder(folder: Path, *, force: bool) -> None:
    """Find out before the work whether the files can be written.

    Raises:
        OutputExistsError: One of them exists and `force` is False.
        StyleTransferError: The folder is a file.
    """
    if folder.exists() and not folder.is_dir():
        raise StyleTransferError(f"{folder}: is a file", hint="choose another folder with -o")
    for name in (STYLE_FILE, CONTENT_FILE, DESCRIPTION_FILE, README_FILE):
        if (folder / name).exists() and not force:
            raise OutputExistsError(f"{folder / name} exists already", hint="overwrite it with -f")


def export_onnx(
    model: LoadedModel,
    name: str,
    license_name: str,
    folder: Path,
    *,
    threads: int,
    progress: ProgressCallback | None = None,
) -> dict[str, Any]:
    """Export a network to a folder.

    The files are written when all of them are made and checked, each whole or not at all, the description
    last.

    Args:
        model: The network.
        name: Its name.
        license_name: The license of its weights.
        folder: The folder; it is created.
        threads: Number of threads of onnxruntime for the check.
        progress: Called with the share of the work that is done, 0..1.

    Returns:
        What the description holds.

    Raises:
        ExportError: The graphs do not make the pictures that the program makes.
        StyleTransferError: A file cannot be written.
    """
    network = model.network
    if not isinstance(network, Autoencoder):
        raise ExportError(f"the model {name} cannot be exported", hint="export an artistic model")
    metadata = {
        "model": name,
        "fingerprint": model.fingerprint,
        "license": license_name,
        "version": __version__,
        "call": CALL,
    }
    graphs = {
        STYLE_FILE: build_style_graph(network, metadata).SerializeToString(),
        CONTENT_FILE: build_content_graph(network, metadata).SerializeToString(),
    }
    runner = GraphRunner(graphs[STYLE_FILE], graphs[CONTENT_FILE], threads=threads)
    difference = compare_with_program(runner, model, progress)
    description = {
        **metadata,
        "format": "onnx",
        "largest_difference": round(difference.largest, 4),
        "style_values": list_style_values(network.architecture),
        "match_strengths": network.architecture.match_strengths,
        "sha256": {file: hashlib.sha256(data).hexdigest() for file, data in graphs.items()},
    }
    texts = {
        README_FILE: write_instructions(metadata, network.architecture, difference.largest),
        DESCRIPTION_FILE: json.dumps(description, indent=1) + "\n",
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StyleTransferError(f"{folder}: cannot make this folder ({error.strerror or error})") from error
    for file, data in (graphs | {file: text.encode() for file, text in texts.items()}).items():
        write_atomically(folder / file, data)
    return description


def write_instructions(
    metadata: Mapping[str, str], architecture: Architecture, largest_difference: float
) -> str:
    """Write the README of the folder."""
    takes_match = f', "{MATCH}": numpy.array([{DEFAULT_MATCH}], "float32")'
    match = takes_match if architecture.key_scales else ""
    return f"""# {metadata["model"]}, a network for style transfer, as ONNX graphs

Made by styletransfer {metadata["version"]} from weights with the SHA-256
`{metadata["fingerprint"]}`.
License of the weights: {metadata["license"]}.

{metadata["call"]}

    import numpy, onnxruntime
    from PIL import Image

    def read(path):
        pixels = numpy.asarray(Image.open(path).convert("RGB"), "float32") / 255
        return numpy.ascontiguousarray(pixels.transpose(2, 0, 1)[None])

    measure = onnxruntime.InferenceSession("{STYLE_FILE}")
    stylize = onnxruntime.InferenceSession("{CONTENT_FILE}")
    names = [output.name for output in measure.get_outputs()]
    style = dict(zip(names, measure.run(names, {{"{STYLE}": read("style.jpg")}})))
    picture = stylize.run(["{PICTURE}"], {{"{CONTENT}": read("content.jpg"){match}, **style}})[0]
    pixels = (picture[0].transpose(1, 2, 0) * 255).round().astype("uint8")
    Image.fromarray(pixels).save("stylized.png")

All sizes are possible, from a single pixel. Strokes suit pictures of up to 1024 pixels; a style of more than
1024 pixels should be made smaller first, as the program does. The whole picture is in memory at once.

The largest difference to the program in float32, on its example pictures, is {largest_difference:.2g} levels
of 255. `{DESCRIPTION_FILE}` lists the values that describe a style, and the SHA-256 of the graphs.
"""
