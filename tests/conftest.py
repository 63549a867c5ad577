"""What every test may ask for."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

# Small tensors on one thread, here and in every process that a test starts: threads that wait for each
# other on a busy machine take a hundred times as long. Torch reads it when it is imported.
os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Data too large or not free enough for the repository; it may lie beside the checkout."""
    folder = Path(__file__).parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"needs the data folder {folder}")
    return folder
