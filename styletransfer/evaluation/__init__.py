"""Evaluation of stylized pictures: metrics of style, content, color and stability, and tables of methods."""

from .pixel_metrics import clipped, pan_rmse, psnr, ssim, swd_rgb
from .plan import CONTENT_ITSELF, Candidate, Pair, combine_pairs, find_outputs, list_candidates, read_pairs
from .scoring import (
    Evaluator,
    PairScorer,
    ScoredCandidate,
    Scores,
    StylizeFunction,
    average_scores,
    format_score,
    format_scores,
    write_contact_sheet,
)
from .vgg_metrics import (
    PatchDistances,
    PerceptualFeatures,
    content_distance,
    extract_features,
    patch_distances,
    style_deep,
    style_gram,
    style_pyr,
)

__all__ = [
    "CONTENT_ITSELF",
    "Candidate",
    "Evaluator",
    "Pair",
    "PairScorer",
    "PatchDistances",
    "PerceptualFeatures",
    "ScoredCandidate",
    "Scores",
    "StylizeFunction",
    "average_scores",
    "clipped",
    "combine_pairs",
    "content_distance",
    "extract_features",
    "find_outputs",
    "format_score",
    "format_scores",
    "list_candidates",
    "pan_rmse",
    "patch_distances",
    "psnr",
    "read_pairs",
    "ssim",
    "style_deep",
    "style_gram",
    "style_pyr",
    "swd_rgb",
    "write_contact_sheet",
]
