"""A disk that is really full: a small file system in memory, mounted for one process alone."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from .pictures import read_size, write_content

IN_NAMESPACE = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c"]
COUNT = 12


def can_mount() -> bool:
    """Tell whether this user may mount a file system in a namespace of their own."""
    try:
        command = [*IN_NAMESPACE, "mount -t tmpfs -o size=64k tmpfs /mnt"]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except OSError:
        return False


@pytest.mark.skipif(not can_mount(), reason="needs user namespaces of Linux")
@pytest.mark.usefixtures("style")
@pytest.mark.parametrize("threads", ["1", "2"])
def test_a_full_disk_stops_the_run(model: str, threads: str) -> None:
    for number in range(COUNT):
        write_content(Path(f"in/{number:02}.png"), (96, 96), seed=number)
    Path("out").mkdir()
    words = f'stylize in waves.png -o out/ -m "$MODEL" -q --threads {threads}'
    script = f"""
        mount -t tmpfs -o size=128k tmpfs out || exit 99
        "{sys.executable}" -m styletransfer {words}
        code=$?
        mkdir kept && cp -a out/. kept
        exit $code
    """
    environment = os.environ | {"MODEL": model}
    result = subprocess.run(
        [*IN_NAMESPACE, script], env=environment, capture_output=True, text=True, check=False
    )
    assert result.returncode == 1
    written = result.stdout.splitlines()
    assert 0 < len(written) < COUNT
    failure, summary, resume = result.stderr.splitlines()
    assert "cannot be written: no space left on device" in failure
    untried = COUNT - len(written) - 1
    assert summary == f"error: 1 of {COUNT} results failed, {untried} not tried"
    assert resume == "error: stopped because the disk is full; the same command does the rest"
    kept = sorted(Path("kept").iterdir())  # and no temporary file
    assert {f"out/{path.name}" for path in kept} >= set(written)
    assert not [path for path in kept if path.name.startswith(".")]
    assert {read_size(path) for path in kept} == {(96, 96)}
