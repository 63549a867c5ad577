"""One Ray cluster of two processors for all tests, pictures, and the results of a local run."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from cli.conftest import PACKAGE_PARENT, save_untrained_model
from cli.pictures import write_content

STYLIZE = (sys.executable, "-m", "styletransfer", "stylize")
CORRUPT = "p05.png"
PICTURES = 12


@pytest.fixture(scope="session", autouse=True)
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Start Ray once, with Ray's files in a folder of the tests, and return the address of the cluster."""
    pytest.importorskip("ray")
    home = tmp_path_factory.mktemp("home")
    variables = {
        "HOME": str(home),
        "RAY_USAGE_STATS_ENABLED": "0",
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": str(PACKAGE_PARENT),
        # Workers inherit these; a test starts the server.
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{find_free_port()}",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name, value in variables.items():
            patch.setenv(name, value)
        import ray

        context = ray.init(
            num_cpus=2, include_dashboard=False, log_to_driver=False, object_store_memory=100_000_000
        )
        yield str(context.address_info["address"])
        ray.shutdown()


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return the path of untrained weights, small enough to stylize in milliseconds."""
    return save_untrained_model(tmp_path_factory.mktemp("weights") / "small.safetensors", seed=0)


@pytest.fixture(scope="session")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder `photos` of small pictures, one of them corrupt, and a style beside it."""
    folder = tmp_path_factory.mktemp("inputs")
    for index in range(PICTURES):
        write_content(folder / "photos" / f"p{index:02}.png", (40, 32), seed=index)
    (folder / "photos" / CORRUPT).write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    write_content(folder / "waves.png", (48, 48), seed=99)
    return folder


@pytest.fixture(scope="session")
def local_results(inputs: Path, model: str, cluster: str) -> Path:
    """The results of a run without Ray."""
    run([*STYLIZE, "photos", "waves.png", "-m", model, "-o", "local/", "--threads", "1", "-q"], inputs)
    return inputs / "local"


def find_free_port() -> int:
    """Return the number of a port that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def run(words: Sequence[str], folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a program in a folder to its end."""
    return subprocess.run(words, cwd=folder, capture_output=True, text=True, timeout=240, env=os.environ)
