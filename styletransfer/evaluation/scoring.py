"""Scores of stylized pictures: computed pair by pair, averaged, and shown as a table or a contact sheet."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from itertools import groupby
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from ..media import Picture, read_picture, write_picture
from ..media.contact_sheet import Tile, draw_contact_sheet
from ..model.vgg import VGG16, VGG19
from ..options import StylizeOptions
from .pixel_metrics import clipped, pan_rmse, psnr, ssim, swd_rgb
from .plan import CONTENT_ITSELF, Candidate, Pair
from .vgg_metrics import (
    PerceptualFeatures,
    content_distance,
    extract_features,
    patch_distances,
    style_deep,
    style_gram,
    style_pyr,
)

# Function from content, style (both [1, 3, H, W] in 0..1) and alpha to the stylized content, of any size.
StylizeFunction = Callable[[Tensor, Tensor, float], Tensor]

SHEET_EDGE = 512  # pixels; pictures up to this long edge are shown at their own size
DECIBEL_SCORES = {"reconstruction", "identity"}


@dataclass(frozen=True, kw_only=True)
class Scores:
    """Scores of one stylized picture.

    The last three scores need the model that made the picture and are None for pictures from files.
    `style_deep` needs VGG-16 and is None without it. docs/evaluation.md defines all scores.

    Attributes:
        style_gram: Gram distance from the style; 0 is the style, lower is better.
        style_pyr: Mean Gram distance over a pyramid of three octaves; lower is better.
        style_patch: Mean distance from the output's feature patches to the nearest of the style; lower is
            better.
        style_cover: Mean distance from the style's feature patches to the nearest of the output; lower is
            better.
        style_deep: Gram distance from the style in the deep layers of VGG-16; lower is better.
        content_in: Distance of instance-normalized features from the content's; 0 is the content, lower is
            better.
        ssim: Structural similarity to the content; 1 is the content, higher is better.
        swd_rgb: Distance of the colors from the style's, in units of 0..1; lower is better.
        clipped: Share of channel values at 0 or 255; lower is better.
        reconstruction: PSNR in dB of the content stylized with alpha 0; higher is better.
        identity: PSNR in dB of the content stylized with itself as the style; higher is better.
        pan_rmse: Root mean square change between the frames of a pan, motion undone; lower is better.
    """

    style_gram: float
    style_pyr: float
    style_patch: float
    style_cover: float
    style_deep: float | None = None
    content_in: float
    ssim: float
    swd_rgb: float
    clipped: float
    reconstruction: float | None = None
    identity: float | None = None
    pan_rmse: float | None = None


SCORE_NAMES = tuple(field.name for field in fields(Scores))


class PairScorer:
    """Scorer of any number of outputs for one pair of content and style.

    The features of the content and the style are computed once.

    Args:
        network: VGG-19 that returns relu1_1, relu2_1 and relu3_1. Pictures are moved to its device.
        content: RGB in 0..1, [1, 3, H, W]. Both sides have at least 32 pixels.
        style: RGB in 0..1, [1, 3, H', W']. Both sides have at least 32 pixels.
        deep_network: VGG-16 on the same device that returns relu4_1 and relu5_1, if `style_deep` is wanted.

    Raises:
        ImageError: A picture is too small.
    """

    def __init__(
        self, network: VGG19, content: Tensor, style: Tensor, deep_network: VGG16 | None = None
    ) -> None:
        self.network = network
        self.deep_network = deep_network
        self.device = next(network.parameters()).device
        self.content, self.style = content.to(self.device), style.to(self.device)
        self._content_features = self._extract_features(self.content)
        self._style_features = self._extract_features(self.style)
        self._fidelity: dict[StylizeFunction, ReconstructionScores] = {}

    @torch.inference_mode()
    def score(self, output: Tensor) -> Scores:
        """Score one picture.

        Args:
            output: RGB in 0..1, [1, 3, h, w]. If its size is not the content's, it is compared with the
                content resized to its size.

        Raises:
            ImageError: The picture is too small.
        """
        output = output.to(self.device)
        content, content_features = self.content, self._content_features
        if output.shape != content.shape:
            content = resize(content, output.shape[2:])
            content_features = self._extract_features(content)
        is_content = torch.equal(output, content)
        features = content_features if is_content else self._extract_features(output)
        patches = patch_distances(features.patches, self._style_features.patches)
        return Scores(
            style_gram=style_gram(features, self._style_features),
            style_pyr=style_pyr(features, self._style_features),
            style_patch=patches.style_patch,
            style_cover=patches.style_cover,
            style_deep=style_deep(features, self._style_features),
            content_in=content_distance(features, content_features),
            ssim=ssim(output, content),
            swd_rgb=swd_rgb(output, self.style),
            clipped=clipped(output),
        )

    @torch.inference_mode()
    def score_model(self, stylize: StylizeFunction, alpha: float = 1.0) -> tuple[Tensor, Scores]:
        """Stylize the content with a model and compute all scores.

        Reconstruction and identity do not depend on alpha, so they are computed once per model.

        Args:
            stylize: The model. Its results are resized to their content's size before they are measured.
            alpha: Strength of the style, for the content and for the frames of the pan.

        Returns:
            The stylized content [1, 3, H, W] and its scores.
        """

        def stylize_same_size(content: Tensor, style: Tensor, alpha: float) -> Tensor:
            return resize(stylize(content, style, alpha).to(self.device), content.shape[2:])

        output = stylize_same_size(self.content, self.style, alpha)
        if stylize not in self._fidelity:
            self._fidelity[stylize] = ReconstructionScores(
                reconstruction=psnr(stylize_same_size(self.content, self.style, 0), self.content),
                identity=psnr(stylize_same_size(self.content, self.content, 1), self.content),
            )
        flicker = pan_rmse(lambda frame: stylize_same_size(frame, self.style, alpha), self.content)
        return output, replace(self.score(output), **self._fidelity[stylize]._asdict(), pan_rmse=flicker)

    def _extract_features(self, picture: Tensor) -> PerceptualFeatures:
        return extract_features(self.network, picture, self.deep_network)


class ReconstructionScores(NamedTuple):
    """The scores of a model that do not depend on alpha, in dB; see `Scores`."""

    reconstruction: float
    identity: float


def resize(picture: Tensor, size: torch.Size) -> Tensor:
    """Resize a picture [1, 3, H, W] in 0..1 with an antialiased bicubic filter, unless its size is right."""
    if picture.shape[2:] == size:
        return picture
    return interpolate(picture, list(size), mode="bicubic", antialias=True).clamp(0, 1)


def average_scores(scores: Sequence[Scores]) -> Scores:
    """Average every score over pictures; a score that one picture lacks is None.

    `pan_rmse` is averaged as the square root of the mean square, because it is a root mean square itself.
    Decibels are averaged as they are.

    Args:
        scores: At least one.
    """
    means: dict[str, Any] = {}
    for name in SCORE_NAMES:
        column = [getattr(each, name) for each in scores]
        power = 2 if name == "pan_rmse" else 1
        means[name] = None if None in column else fmean(value**power for value in column) ** (1 / power)
    return Scores(**means)


def format_scores(rows: Mapping[str, Scores]) -> str:
    """Format scores as a Markdown table with one row per method; columns without any value are left out."""
    shown = [
        name for name in SCORE_NAMES if any(getattr(scores, name) is not None for scores in rows.values())
    ]
    cells = [["method", *shown]]
    for method, scores in rows.items():
        values = asdict(scores)
        cells.append([method, *(format_score(name, values[name]) for name in shown)])
    widths = [max(len(row[column]) for row in cells) for column in range(len(cells[0]))]
    lines = [_join([cell.ljust(width) for cell, width in zip(row, widths, strict=True)]) for row in cells]
    lines.insert(1, _join(["-" * width for width in widths]))
    return "\n".join(lines)


def format_score(name: str, value: float | None) -> str:
    """Format one score: decibels with one decimal, other scores with three, a missing score as a dash."""
    if value is None:
        return "-"
    return f"{value:.1f}" if name in DECIBEL_SCORES else f"{value:.3f}"


def _join(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


class Stylizes(Protocol):
    """The methods of `styletransfer.Stylizer` that an evaluation calls."""

    def resolve_options(self, options: StylizeOptions, content: Tensor) -> StylizeOptions:
        """Choose the stroke scale and the style size for a content [1, 3, H, W]."""

    def stylize(self, content: Tensor, style: Path | Tensor, options: StylizeOptions) -> Tensor:
        """Stylize a content [1, 3, H, W] in 0..1. The statistics of a style file are remembered."""


class ScoredCandidate(NamedTuple):
    """A candidate, its scores, and its picture for the contact sheet (uint8, [3, H, W])."""

    candidate: Candidate
    scores: Scores
    picture: Tensor


class Evaluator:
    """Scores candidates one after another.

    The features of a pair are kept until a candidate of another pair comes.

    Args:
        network: VGG-19 that returns relu1_1, relu2_1 and relu3_1.
        stylizer: Stylizer that makes the candidates without a file; None if all have one.
        options: Options of the stylization. The candidate's alpha replaces theirs.
        deep_network: VGG-16 that returns relu4_1 and relu5_1, if `style_deep` is wanted.
    """

    def __init__(
        self,
        network: VGG19,
        stylizer: Stylizes | None,
        options: StylizeOptions,
        deep_network: VGG16 | None = None,
    ) -> None:
        self.network = network
        self.deep_network = deep_network
        self.stylizer = stylizer
        self.options = options
        self._scorer: tuple[Pair, PairScorer] | None = None

    def evaluate(self, candidate: Candidate) -> ScoredCandidate:
        """Read or make the picture of a candidate and score it.

        Raises:
            ImageError: A picture cannot be read or is too small.
        """
        scorer = self._open_pair(candidate.pair)
        if candidate.output is None:
            output, scores = scorer.score_model(self._stylize, candidate.alpha)
        else:
            output = read_picture(candidate.output).with_hidden_colors_filled().to_float()
            scores = scorer.score(output)
        return ScoredCandidate(candidate, scores, Picture.from_float(output).pixels)

    def _open_pair(self, pair: Pair) -> PairScorer:
        if self._scorer is None or self._scorer[0] != pair:
            self._scorer = None  # frees the previous pair before the next one is read
            # Scores are those of all pixels, but hidden colors must not count.
            content = read_picture(pair.content).with_hidden_colors_filled().to_float()
            style = read_picture(pair.style).as_style().to_float()
            self._scorer = pair, PairScorer(self.network, content, style, self.deep_network)
        return self._scorer[1]

    def _stylize(self, content: Tensor, style: Tensor, alpha: float) -> Tensor:
        assert self.stylizer is not None  # see list_candidates
        assert self._scorer is not None
        pair, scorer = self._scorer
        # The frames of the pan are a little smaller than the pair's content, but get its stroke scale.
        options = self.stylizer.resolve_options(self.options, scorer.content)
        source = pair.style if style is scorer.style else style
        return self.stylizer.stylize(content, source, replace(options, alpha=alpha))


def write_contact_sheet(path: Path, results: Sequence[ScoredCandidate]) -> None:
    """Write a contact sheet with one row per pair: the content, the style and the candidates.

    Args:
        path: The picture file.
        results: The scored candidates, with those of the same pair next to each other.

    Raises:
        ImageError: The format is unknown or the file cannot be written.
    """
    made = [result for result in results if result.candidate.method != CONTENT_ITSELF]
    rows = []
    for pair, scored in groupby(made, key=lambda result: result.candidate.pair):
        content, style = (read_picture(path).on_white().to_float() for path in (pair.content, pair.style))
        tiles = [Tile(result.picture / 255, write_caption(result)) for result in scored]
        rows.append([Tile(content, pair.name), Tile(style, "style"), *tiles])
    write_picture(Picture.from_float(draw_contact_sheet(rows, SHEET_EDGE)), path)


def write_caption(result: ScoredCandidate) -> str:
    """Write the caption of a picture: its method, style_gram and content_in."""
    scores = result.scores
    return f"{result.candidate.method}  style {scores.style_gram:.3f}  content {scores.content_in:.2f}"
