"""What every test may ask for."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

# Small tensors on one thread, here and in every process that a test starts: threads that wait for each
# other on a busy machine take a hundred times as long. Torch reads it when it is imported.
os.environ.setdefault("OMP_NUM_THREADS", "1")

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Data too large or not free enough for the repository; it may lie beside the checkout."""
    folder = Path(__file__).parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"needs the data folder {folder}")
    return folder


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A Chromium of the system, driven by playwright; the project installs neither."""
    playwright = pytest.importorskip("playwright.sync_api", reason="needs `pip install playwright`")
    if CHROMIUM is None:
        pytest.skip("needs a Chromium on the path, for example `apt install chromium`")
    with playwright.sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield opened
        opened.close()
