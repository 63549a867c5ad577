"""Blends of what the style graph returns, as docs/export.md describes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from styletransfer.linalg import Statistics, wasserstein_barycenter


def blend_values(members: Sequence[Mapping[str, Any]], weights: Sequence[float]) -> dict[str, Any]:
    """Blend means and covariances in float64, and the quantiles of the colors."""
    colors = [weight * each["colors"] for each, weight in zip(members, weights, strict=True)]
    blended = {"colors": (np.sum(colors, 0) / sum(weights)).astype(np.float32)}
    for level in range(sum(name.startswith("mean_") for name in members[0])):
        statistics = [
            Statistics(
                torch.from_numpy(each[f"mean_{level}"]).double()[None],
                torch.from_numpy(each[f"covariance_{level}"]).double()[None],
                torch.ones(1),
            )
            for each in members
        ]
        middle = wasserstein_barycenter(statistics, weights)
        blended[f"mean_{level}"] = middle.mean[0].float().numpy()
        blended[f"covariance_{level}"] = middle.covariance[0].float().numpy()
    return blended


def join_pieces(members: Sequence[Mapping[str, Any]], weights: Sequence[float]) -> dict[str, Any]:
    """Join the pieces of styles, and their shares, which are due the weights."""
    joined = {}
    for name in members[0]:
        if name.startswith("pieces_"):
            joined[name] = np.concatenate([each[name] for each in members])
        elif name.startswith("shares_"):
            shares = [weight * each[name] for each, weight in zip(members, weights, strict=True)]
            joined[name] = np.concatenate(shares).astype(np.float32)
    return joined
