"""Evaluation of candidates, one after another, and the contact sheet that shows them side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import NamedTuple, Protocol

from torch import Tensor

from ..media import Picture, read_picture, write_picture
from ..media.contact_sheet import Tile, draw_contact_sheet
from ..model.vgg import VGG16, VGG19
from ..options import StylizeOptions
from .plan import CONTENT_ITSELF, Candidate, Pair
from .scoring import PairScorer, Scores

SHEET_EDGE = 512  # pixels; pictures up to this long edge are shown at their own size


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
