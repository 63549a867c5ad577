"""Why two artists differ: which channels and scales of the program's style statistics tell them apart.

    python -m benchmarks.paintings.explain ARTIST ARTIST --folder ../shared/data [--sheet FILE.png]

An artist is named as in the index, such as claude-monet. A picture is described by the mean and the logarithm
of the variance of every channel that the default model transfers: the colors, and features at five scales. A
logistic regression with an L1 penalty chooses few of these statistics. Its accuracy is that of pictures held
out in turn, with the strength of the penalty chosen without them.
"""

from __future__ import annotations

import argparse
import csv
import io
import random
import tarfile
from collections.abc import Sequence
from math import sqrt
from pathlib import Path
from statistics import mean
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from styletransfer.media import Picture, read_picture, write_picture
from styletransfer.media.contact_sheet import Tile, draw_contact_sheet
from styletransfer.model import load_model

from ..linalg.tables import Table

FOLDS = 8
SEEDS = 3  # of the division into folds
STEPS = 300  # of the proximal gradient
PENALTIES = (0.05, 0.1, 0.2, 0.4)  # shares of the least penalty that chooses nothing
TOP = 3  # statistics that are shown in pictures
SHOWN = 4  # pictures with the most, and with the least, of a statistic
CELL = 96  # pixels of a picture on the sheet
DARKEST = 0.12  # brightness where a statistic has no response
VARIANCE_FLOOR = 1e-6


class Work(NamedTuple):
    """A picture [1, 3, H, W] in 0..1 and its title."""

    title: str
    picture: Tensor


class Readout(NamedTuple):
    """A logistic regression on standardized statistics.

    Attributes:
        mean: Of every statistic over the pictures it was fitted to, [F].
        deviation: Likewise, [F].
        weights: [F], most of them 0; positive for the second artist.
        bias: The intercept.
    """

    mean: Tensor
    deviation: Tensor
    weights: Tensor
    bias: float

    def scores(self, statistics: Tensor) -> Tensor:
        """Return the log odds of the second artist for pictures [N, F]."""
        scores: Tensor = (statistics - self.mean) / self.deviation @ self.weights + self.bias
        return scores


def read_works(folder: Path, artist: str) -> list[Work]:
    """Return all pictures of an artist in `folder/art.tar`, as `folder/art_index.csv` lists them.

    Raises:
        ValueError: The index has fewer than FOLDS pictures of the artist.
    """
    with (folder / "art_index.csv").open(encoding="utf-8", newline="") as file:
        titles = {row["name"]: row["path"].partition("/")[2] for row in csv.DictReader(file)}
    titles = {
        name: Path(title).stem.partition("_")[2]
        for name, title in titles.items()
        if title.startswith(f"{artist}_")
    }
    if len(titles) < FOLDS:
        raise ValueError(f"{folder / 'art_index.csv'} has {len(titles)} pictures of {artist!r}")
    works = {}
    with tarfile.open(folder / "art.tar") as archive:
        for member in archive:
            name = Path(member.name).name
            content = archive.extractfile(member) if name in titles else None
            if content is not None:
                works[name] = Work(titles[name], read_picture(io.BytesIO(content.read())).to_float())
    return [works[name] for name in sorted(works)]


class StyleStatistics:
    """The statistics that describe a picture: mean and log variance of every channel of every level."""

    def __init__(self) -> None:
        self.network = load_model().network.eval()
        widths = [level.shape[1] for level in self._encode(torch.zeros(1, 3, 32, 32))]
        self.names = [
            (level, channel, kind)
            for level, width in enumerate(widths)
            for kind in ("mean", "variance")
            for channel in range(width)
        ]

    @torch.no_grad()
    def _encode(self, picture: Tensor) -> list[Tensor]:
        levels: list[Tensor] = self.network.encode(picture)  # type: ignore[assignment]
        return levels

    def measure(self, picture: Tensor) -> Tensor:
        """Return the statistics of a picture [1, 3, H, W], in the order of `names`: [F]."""
        parts = []
        for level in self._encode(picture):
            variance, average = torch.var_mean(level[0].flatten(1), dim=1)
            parts += [average, variance.clamp_min(VARIANCE_FLOOR).log()]
        return torch.cat(parts).double()

    def response(self, picture: Tensor, index: int) -> Tensor:
        """Return where a picture has much of a statistic, in 0..1 at its size: [H, W].

        For a mean it is the channel itself, for a variance its squared distance from the picture's mean.
        """
        level, channel, kind = self.names[index]
        values = self._encode(picture)[level][0, channel]
        if kind == "variance":
            values = (values - values.mean()).square()
        low, high = values.min(), values.quantile(0.98)
        values = ((values - low) / (high - low).clamp_min(1e-12)).clamp(0, 1)
        size = list(picture.shape[2:])
        return functional.interpolate(values[None, None], size, mode="bilinear", align_corners=False)[0, 0]

    def describe(self, index: int) -> str:
        """Return the name of a statistic, such as "scale 2, channel 5, variance"."""
        level, channel, kind = self.names[index]
        return f"{f'scale {level - 1}' if level else 'color'}, channel {channel}, {kind}"


def fit_readouts(statistics: Tensor, labels: Tensor, penalties: Sequence[float]) -> list[Readout]:
    """Fit logistic regressions with L1 penalties by accelerated proximal gradient.

    Args:
        statistics: [N, F].
        labels: 0 or 1, [N].
        penalties: Strengths of the penalties, as shares of the least at which all weights are 0.

    Returns:
        One readout for every penalty.

    Source: Beck & Teboulle 2009, FISTA.
    """
    average, deviation = statistics.mean(0), statistics.std(0).clamp_min(1e-9)
    inputs = (statistics - average) / deviation
    target = labels.double()[:, None]
    least = (inputs.T @ (target - target.mean())).abs().max() / len(inputs)
    # The intercept is the weight of a last column, and is not penalized.
    inputs = torch.cat([inputs, torch.ones(len(inputs), 1).double()], 1)
    strengths = least * torch.tensor(penalties).double().repeat(inputs.shape[1], 1)
    strengths[-1] = 0
    # The Hessian of the mean logistic loss is at most a quarter of that of least squares.
    step = 4 * len(inputs) / torch.linalg.matrix_norm(inputs, 2).item() ** 2
    weights = ahead = torch.zeros_like(strengths)
    momentum = 1.0
    for _ in range(STEPS):
        gradient = inputs.T @ (torch.sigmoid(inputs @ ahead) - target) / len(inputs)
        moved = ahead - step * gradient
        new = moved.sign() * (moved.abs() - step * strengths).clamp_min(0)
        following = (1 + sqrt(1 + 4 * momentum**2)) / 2
        ahead = new + (momentum - 1) / following * (new - weights)
        weights, momentum = new, following
    return [Readout(average, deviation, each[:-1], each[-1].item()) for each in weights.T]


def divide(labels: Tensor, folds: int, seed: int) -> Tensor:
    """Assign every picture to a fold, with as many of each artist in each as possible: [N]."""
    generator = random.Random(seed)
    fold = torch.zeros(len(labels), dtype=torch.long)
    for label in (0, 1):
        members = (labels == label).nonzero().flatten().tolist()
        generator.shuffle(members)
        fold[members] = torch.arange(len(members)) % folds
    return fold


def choose_penalty(statistics: Tensor, labels: Tensor, seed: int) -> float:
    """Return the largest penalty whose accuracy on held-out folds is best."""
    fold = divide(labels, 4, seed)
    hits = dict.fromkeys(PENALTIES, 0)
    for held in range(4):
        rest = fold != held
        readouts = fit_readouts(statistics[rest], labels[rest], PENALTIES)
        for penalty, readout in zip(PENALTIES, readouts, strict=True):
            hits[penalty] += count_hits(readout, statistics[~rest], labels[~rest])
    return max(PENALTIES, key=lambda penalty: (hits[penalty], penalty))


def count_hits(readout: Readout, statistics: Tensor, labels: Tensor) -> int:
    """Return the number of pictures that a readout gives to the right artist."""
    return int(((readout.scores(statistics) > 0) == (labels == 1)).sum())


class HeldOut(NamedTuple):
    """What folds that were held out in turn, in several divisions, tell about readouts.

    Attributes:
        accuracies: Of every division into folds.
        used: Number of statistics of every readout.
        chosen: Share of the readouts that use a statistic, [F].
    """

    accuracies: list[float]
    used: list[int]
    chosen: Tensor

    def summary(self) -> tuple[str, str]:
        """Return the mean accuracy with its range over the divisions, and the mean number of statistics."""
        percent = [100 * accuracy for accuracy in self.accuracies]
        return f"{mean(percent):.0f} ({min(percent):.0f} to {max(percent):.0f})", f"{mean(self.used):.1f}"


def hold_out(statistics: Tensor, labels: Tensor) -> HeldOut:
    """Fit readouts without one fold, its penalty chosen without it, and test them on it."""
    accuracies, used = [], []
    chosen = torch.zeros(statistics.shape[1])
    for seed in range(SEEDS):
        fold = divide(labels, FOLDS, seed)
        hits = 0
        for held in range(FOLDS):
            rest = fold != held
            penalty = choose_penalty(statistics[rest], labels[rest], seed)
            readout = fit_readouts(statistics[rest], labels[rest], [penalty])[0]
            hits += count_hits(readout, statistics[~rest], labels[~rest])
            used.append(int(readout.weights.count_nonzero()))
            chosen += readout.weights != 0
        accuracies.append(hits / len(labels))
    return HeldOut(accuracies, used, chosen / (SEEDS * FOLDS))


def compare_artists(artists: Sequence[str], folder: Path, sheet: Path | None) -> list[Table]:
    """Tell two artists apart, and return the accuracies and the statistics that decide.

    Args:
        artists: Two names as in the index.
        folder: Folder with art.tar and art_index.csv.
        sheet: File for a picture of the decisive statistics, see `draw_sheet`.
    """
    works = [read_works(folder, artist) for artist in artists]
    measure = StyleStatistics()
    statistics = torch.stack([measure.measure(work.picture) for each in works for work in each])
    labels = torch.tensor([label for label, each in enumerate(works) for _ in each])
    counts = " and ".join(f"{len(each)} of {artist}" for each, artist in zip(works, artists, strict=True))
    accuracy = Table(
        f"Pictures told apart, {counts}", ["statistics", "held-out accuracy, %", "statistics used"]
    )
    levels = torch.tensor([level for level, _, _ in measure.names])
    parts = {"all": levels >= 0, "color alone": levels == 0, "without color": levels > 0}
    results = {name: hold_out(statistics[:, kept], labels) for name, kept in parts.items()}
    shuffled = labels[torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))]
    results["all, artists shuffled"] = hold_out(statistics, shuffled)
    for name, result in results.items():
        accuracy.add(name, *result.summary())

    readout = fit_readouts(statistics, labels, [choose_penalty(statistics, labels, 0)])[0]
    order = readout.weights.abs().argsort(descending=True)
    order = order[: int(readout.weights.count_nonzero())]
    decisive = Table(
        "Statistics that decide", ["statistic", "more of it", "share of weights, %", "chosen, %"]
    )
    total = readout.weights.abs().sum()
    for index in order.tolist():
        weight = readout.weights[index]
        share = f"{100 * (weight.abs() / total).item():.0f}"
        chosen = f"{100 * results['all'].chosen[index].item():.0f}"
        decisive.add(measure.describe(index), artists[int(weight > 0)], share, chosen)
    if sheet is not None:
        shown = [(family_name(artists[label]), work) for label, each in enumerate(works) for work in each]
        rows = [row for index in order[:TOP].tolist() for row in draw_rows(measure, index, statistics, shown)]
        write_picture(Picture.from_float(draw_contact_sheet(rows, CELL)), sheet)
    return [accuracy, decisive]


def draw_rows(
    measure: StyleStatistics, index: int, statistics: Tensor, works: Sequence[tuple[str, Work]]
) -> list[list[Tile | None]]:
    """Return a row of the pictures with most of a statistic and of those with least, and where they have it.

    In the second row, a picture is as bright as the response, see `StyleStatistics.response`.
    """
    order = statistics[:, index].argsort(descending=True).tolist()
    chosen = [*((place, "most") for place in order[:SHOWN]), *((place, "least") for place in order[-SHOWN:])]
    pictures: list[Tile | None] = []
    responses: list[Tile | None] = []
    for place, end in chosen:
        artist, work = works[place]
        pictures.append(Tile(work.picture, artist))
        lit = DARKEST + (1 - DARKEST) * measure.response(work.picture, index)
        responses.append(Tile(work.picture * lit, end))
    return [pictures, responses]


def family_name(artist: str) -> str:
    """Return the last word of an artist's name in the index, with a capital."""
    return artist.rpartition("-")[2].capitalize()


def main() -> None:
    """Compare two artists on one core and print what tells them apart."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.paintings.explain",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("artists", nargs=2, metavar="ARTIST")
    parser.add_argument(
        "--folder",
        type=Path,
        default=Path("../shared/data"),
        help="Folder with art.tar and art_index.csv (default: %(default)s).",
    )
    parser.add_argument(
        "--sheet", type=Path, help="Write the pictures of the three heaviest statistics here."
    )
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    try:
        tables = compare_artists(arguments.artists, arguments.folder, arguments.sheet)
    except (OSError, ValueError) as error:
        parser.error(str(error))
    print(*(table.to_markdown() for table in tables), sep="\n\n")


if __name__ == "__main__":
    main()
