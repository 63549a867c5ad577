"""Build the static demo: `python -m docs.build_demo FOLDER`.

The folder gets the pages of docs/demo, the design and the examples of `styletransfer serve`, the exported
graphs, and onnxruntime-web from npm. Any host of static files can serve it.
"""

from __future__ import annotations

import argparse
import gzip
import json
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

import onnx
from onnx import external_data_helper, numpy_helper

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "styletransfer" / "page"
SOURCES = Path(__file__).parent / "demo"
RUNTIME = "onnxruntime-web@1.30.0"
RUNTIME_FILES = ("ort.wasm.min.mjs", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm")
WEIGHTS = "weights.bin"
# Smaller tensors stay in the graphs.
LEAST_SHARED_BYTES = 1024


def build_demo(folder: Path, graphs: Path | None = None, runtime: Path | None = None) -> None:
    """Build the demo.

    Args:
        folder: The folder to fill.
        graphs: What `styletransfer export` wrote; None to export the default model.
        runtime: The package of npm as a .tgz file; None to fetch it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for path in (*SOURCES.iterdir(), PAGE / "static" / "page.css", PAGE / "static" / "icon.svg"):
        shutil.copy(path, folder)
    examples = {}
    for kind in ("content", "style"):
        found = sorted((PAGE / "examples" / kind).glob("*.jpg"))
        target = folder / "examples" / kind
        target.mkdir(parents=True, exist_ok=True)
        for path in found:
            shutil.copy(path, target)
        examples[f"{kind}s"] = [f"examples/{kind}/{path.name}" for path in found]
    (folder / "examples.json").write_text(json.dumps(examples))
    with tempfile.TemporaryDirectory() as temporary:
        if graphs is None:
            graphs = Path(temporary) / "graphs"
            subprocess.run([sys.executable, "-m", "styletransfer", "export", "-o", str(graphs)], check=True)
        share_weights(graphs, folder)
        unpack_runtime(runtime or fetch_runtime(Path(temporary)), folder / "ort")


def share_weights(graphs: Path, folder: Path) -> None:
    """Write both graphs with one file of weights, because half of them are the same."""
    weights = bytearray()
    places: dict[bytes, int] = {}
    for name in ("style.onnx", "content.onnx"):
        model = onnx.load(graphs / name)
        for tensor in model.graph.initializer:
            data = numpy_helper.to_array(tensor).tobytes()
            if len(data) < LEAST_SHARED_BYTES:
                continue
            if data not in places:
                places[data] = len(weights)
                weights += data
            tensor.raw_data = data
            external_data_helper.set_external_data(tensor, WEIGHTS, places[data], len(data))
            tensor.ClearField("raw_data")
        (folder / name).write_bytes(model.SerializeToString())
    (folder / WEIGHTS).write_bytes(weights)


def fetch_runtime(folder: Path) -> Path:
    """Fetch the package of onnxruntime-web from npm, which checks its hash."""
    done = subprocess.run(
        ["npm", "pack", "--silent", RUNTIME], cwd=folder, check=True, stdout=subprocess.PIPE, text=True
    )
    return folder / done.stdout.split()[-1]


def unpack_runtime(package: Path, folder: Path) -> None:
    """Take what the demo loads out of the package; the license stands in its first lines."""
    folder.mkdir(exist_ok=True)
    with tarfile.open(package) as archive:
        for name in RUNTIME_FILES:
            file = archive.extractfile(f"package/dist/{name}")
            assert file is not None
            (folder / name).write_bytes(file.read())


def measure_download(folder: Path) -> tuple[int, int]:
    """Return the bytes of all but the example pictures, as they are and compressed by gzip."""
    files = [path for path in folder.rglob("*") if path.is_file() and "examples" not in path.parts]
    data = [path.read_bytes() for path in files]
    return sum(map(len, data)), sum(len(gzip.compress(each, 9)) for each in data)


def main() -> None:
    """Build the demo and write what a browser has to load."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="folder of the demo, such as build/demo")
    parser.add_argument(
        "--graphs", type=Path, help="what `styletransfer export` wrote; exported anew without it"
    )
    parser.add_argument(
        "--runtime", type=Path, help=f"{RUNTIME} as npm packs it; fetched from npm without it"
    )
    arguments = parser.parse_args()
    build_demo(arguments.folder, arguments.graphs, arguments.runtime)
    plain, compressed = measure_download(arguments.folder)
    print(f"{arguments.folder}: {plain / 1e6:.1f} MB, {compressed / 1e6:.2f} MB compressed, and examples")


if __name__ == "__main__":
    main()
