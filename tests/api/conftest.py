"""A Stylizer in float32, and two small pictures."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from styletransfer import Stylizer
from styletransfer.media import Picture, write_picture
from styletransfer.options import RuntimeOptions


@pytest.fixture(scope="module")
def stylizer() -> Stylizer:
    return Stylizer("default", runtime=RuntimeOptions(precision="fp32"))  # the same for 8 bits and for floats


@pytest.fixture
def content(tmp_path: Path) -> Path:
    generator = torch.Generator().manual_seed(0)
    write_picture(Picture.from_float(torch.rand(3, 30, 44, generator=generator)), tmp_path / "content.png")
    return tmp_path / "content.png"


@pytest.fixture
def style(tmp_path: Path) -> Path:
    generator = torch.Generator().manual_seed(1)
    write_picture(Picture.from_float(torch.rand(3, 40, 32, generator=generator) ** 2), tmp_path / "style.png")
    return tmp_path / "style.png"
