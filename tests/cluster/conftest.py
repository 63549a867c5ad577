"""One Ray cluster of two processors for all tests, pictures, and the results of a local run."""

from __future__ import annotations

import io
import os
import socket
import subprocess
import sys
import tarfile
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from cli.conftest import PACKAGE_PARENT, save_untrained_model
from cli.pictures import write_content

from styletransfer.tar_archive import read_members

STYLIZE = (sys.executable, "-m", "styletransfer", "stylize")
CORRUPT = "p05.png"
PICTURES = 12
SHARDS = 3


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


@pytest.fixture(scope="session")
def archives(inputs: Path) -> Path:
    """A folder `shards` beside the photographs: shards/0.tar to shards/2.tar hold all of them by turns."""
    folder = inputs / "shards"
    folder.mkdir()
    photos = sorted((inputs / "photos").iterdir())
    for index in range(SHARDS):
        with tarfile.open(folder / f"{index}.tar", "w") as archive:
            for path in photos[index::SHARDS]:
                archive.add(path, path.name)
    return folder


def read_archive(data: bytes) -> dict[str, bytes]:
    """Return the members of an archive by name."""
    members = read_members(io.BytesIO(data), "archive")
    return {member.info.name: member.data for member in members}


def find_free_port() -> int:
    """Return the number of a port that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def run(words: Sequence[str], folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a program in a folder to its end."""
    return subprocess.run(words, cwd=folder, capture_output=True, text=True, timeout=240, env=os.environ)
