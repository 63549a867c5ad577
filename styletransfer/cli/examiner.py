"""Make or read the candidates of an evaluation, score them, and draw them side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from ..options import StylizeOptions, settle_strokes
from .candidates import ITSELF, Candidate

if TYPE_CHECKING:
    from torch import Tensor

    from ..api import Stylizer
    from ..evaluation import Pair, PairScorer, Scores
    from ..model import StyleStatistics
    from ..model.vgg import VGG19

SHEET_EDGE = 512  # pixels: the development pairs of the field are looked at unreduced


class Scored(NamedTuple):
    """A candidate with its scores and, to be drawn, its picture (uint8, [3, H, W])."""

    candidate: Candidate
    scores: Scores
    picture: Tensor


class Examiner:
    """Scores candidates one after another; what those of one pair share is computed once.

    Args:
        network: The perceptual network.
        stylizer: Makes the candidates that are no files; None if all are.
        look: How it stylizes; alpha is the candidate's.
    """

    def __init__(self, network: VGG19, stylizer: Stylizer | None, look: StylizeOptions) -> None:
        self.network = network
        self.stylizer = stylizer
        self.look = look
        self._scorer: tuple[Pair, PairScorer] | None = None
        self._style: tuple[Tensor, StyleStatistics] | None = None

    def examine(self, candidate: Candidate) -> Scored:
        """Make or read one picture and score it."""
        from ..media import Picture, read_picture

        scorer = self._open_pair(candidate.pair)
        if candidate.output is None:
            output, scores = scorer.score_model(self._stylize, candidate.alpha)
        else:
            output = read_picture(candidate.output).to_float()
            scores = scorer.score(output)
        return Scored(candidate, scores, Picture.from_float(output).pixels)

    def _open_pair(self, pair: Pair) -> PairScorer:
        from ..evaluation import PairScorer
        from ..media import read_picture

        if self._scorer is None or self._scorer[0] != pair:
            self._scorer = None  # frees the last one before the next is read
            content, style = read_picture(pair.content).to_float(), read_picture(pair.style).to_float()
            self._scorer = pair, PairScorer(self.network, content, style)
        return self._scorer[1]

    def _stylize(self, content: Tensor, style: Tensor, alpha: float) -> Tensor:
        assert self.stylizer is not None  # see list_candidates
        assert self._scorer is not None
        # By the pair's content, also for frames of it that are a little smaller.
        height, width = self._scorer[1].content.shape[2:]
        look = settle_strokes(self.look, width, height)
        if self._style is None or self._style[0] is not style:
            statistics = self.stylizer.measure_style(
                style, style_size=look.style_size, stroke_scale=look.stroke_scale
            )
            self._style = style, statistics
        stylized: Tensor = self.stylizer.stylize(
            content, self._style[1], **asdict(replace(look, alpha=alpha))
        )
        return stylized


def write_sheet(path: Path, results: Sequence[Scored]) -> None:
    """Draw a row for every pair, content and style first, and write the sheet.

    Raises:
        ImageError: The format is unknown or the file cannot be written.
    """
    from ..media import Picture, read_picture, write_picture
    from ..media.contact_sheet import Tile, draw_contact_sheet

    made = [result for result in results if result.candidate.method != ITSELF]
    rows = []
    for pair, scored in groupby(made, key=lambda result: result.candidate.pair):
        content, style = read_picture(pair.content).to_float(), read_picture(pair.style).to_float()
        tiles = [Tile(result.picture / 255, caption(result)) for result in scored]
        rows.append([Tile(content, pair.name), Tile(style, "style"), *tiles])
    write_picture(Picture.from_float(draw_contact_sheet(rows, SHEET_EDGE)), path)


def caption(result: Scored) -> str:
    """Name a picture by its method and the scores that say most: style, then content."""
    scores = result.scores
    return f"{result.candidate.method}  style {scores.style_gram:.3f}  content {scores.content_in:.2f}"
