"""`python -m weights.textures` draws the same archive of training pictures on every machine."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from styletransfer.training import PicturePool
from weights import textures


def test_archives_are_reproducible_and_hold_pictures(tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("one.tar", "two.tar")]
    for path in paths:
        command = [sys.executable, "-W", "error", "-m", "weights.textures", str(path), "--count", "3"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
    assert paths[0].read_bytes() == paths[1].read_bytes()
    files = PicturePool(paths[0]).files
    assert len(set(files)) == 3


@pytest.mark.parametrize("kind", ["dots", "drawing", "hatching", "grain", "weave", "cells"])
def test_every_kind_of_texture_is_in_range_and_has_contrast(kind: str) -> None:
    for seed in range(3):
        field = getattr(textures, kind)(np.random.default_rng(seed))
        assert field.shape == (textures.SIDE, textures.SIDE)
        assert field.min() >= 0
        assert field.max() <= 1
        assert field.std() > 0.02
