"""Count the living channels of encoders: `python -m benchmarks.living_channels FOLDER MODEL ...`.

A channel is living if its variance within the pictures of a folder is at least a thousandth of the mean
variance of its scale. Smaller variances are lost below the `eps` of the feature transform. With leaky
activations, channels that are negative everywhere are counted too: they are linear, not lost.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from benchmarks.linalg.tables import Table
from styletransfer.media import read_picture, readable_extensions
from styletransfer.model import load_autoencoder, measure_levels
from styletransfer.transfer.feature_transform import EPS


@torch.no_grad()
def count_living(model: str, pictures: list[Path]) -> list[str]:
    """Return the number of living channels and of all channels ("living of all") at every scale."""
    network = load_autoencoder(model)
    measured = [measure_levels(network.encode(read_picture(path).to_float())[1:]) for path in pictures]
    cells = []
    for scale in zip(*measured, strict=True):
        variances = torch.stack([statistics.covariance[0].diagonal() for statistics in scale]).mean(0)
        cells.append(f"{int((variances >= EPS * variances.mean()).sum())} of {len(variances)}")
    return cells


def main() -> None:
    """Print a table with a row per model."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folder", type=Path, help="Folder of pictures.")
    parser.add_argument("models", nargs="+", help="Names of models or paths of their weights.")
    arguments = parser.parse_args()
    extensions = readable_extensions()
    pictures = sorted(path for path in arguments.folder.iterdir() if path.suffix.lower() in extensions)
    rows = {model: count_living(model, pictures) for model in arguments.models}
    scales = max(map(len, rows.values()))
    table = Table(f"{len(pictures)} pictures", ["model", *(f"1/{2**scale}" for scale in range(scales))])
    for model, cells in rows.items():
        table.add(model, *cells)
    print(table.to_markdown())


if __name__ == "__main__":
    main()
