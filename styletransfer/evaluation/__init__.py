"""How good a stylization is: metrics of style, content, color and stability, and a table of methods."""

from .colors import clip, swd_rgb
from .pairs import Pair, combine_pairs, find_outputs, read_pairs
from .perception import content_in, perceive, style_gram, style_pyr
from .scores import Scores, average_scores, format_score, format_scores
from .scoring import PairScorer, Stylize
from .similarity import psnr, ssim
from .stability import warp_rmse

__all__ = [
    "Pair",
    "PairScorer",
    "Scores",
    "Stylize",
    "average_scores",
    "clip",
    "combine_pairs",
    "content_in",
    "find_outputs",
    "format_score",
    "format_scores",
    "perceive",
    "psnr",
    "read_pairs",
    "ssim",
    "style_gram",
    "style_pyr",
    "swd_rgb",
    "warp_rmse",
]
