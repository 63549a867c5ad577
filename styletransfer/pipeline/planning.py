"""Decide how to go over a picture: how tall the strips are, and what is kept between passes."""

from __future__ import annotations

from torch import Tensor

from .engine import Engine, Plan
from .graph import Node


def plan_passes(engine: Engine, samples: Tensor) -> Plan:
    """Plan the passes over a picture."""
    levels = range(engine.depth + 1)
    store = {Node("features", level) for level in levels} | {Node("merged", level) for level in levels[:-1]}
    return Plan(256, frozenset(store))
