"""Training on two nodes of two processes: one is killed, and the weights are those of an unbroken run.

The nodes are two launchers on this machine, which meet at a port as on a network.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from styletransfer.files import read_tensors, write_tensors
from styletransfer.model.vgg import TORCHVISION_KEYS, VGG19

from .test_trainer import assert_same_models, read_steps

STEPS = 25
CHECKPOINT_EVERY = 5


def start_node(command: list[str], port: int, log: Path) -> subprocess.Popen[bytes]:
    """Start the launcher of one of two nodes, which writes to a log."""
    launcher = [
        "-m",
        "torch.distributed.run",
        "--nnodes",
        "2",
        "--nproc-per-node",
        "2",
        "--max-restarts",
        "3",
    ]
    meeting = ["--rdzv-backend", "c10d", "--rdzv-id", "run", "--rdzv-endpoint", f"127.0.0.1:{port}"]
    words = [sys.executable, *launcher, *meeting, "--local-addr", "127.0.0.1", *command]
    # Otherwise the restarted processes find the addresses of those before them, which are gone.
    variables = os.environ | {"TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1"}
    with log.open("wb") as file:
        return subprocess.Popen(words, stdout=file, stderr=file, env=variables)


def list_children(parent: int) -> list[int]:
    """List the processes that a process has started."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
        except OSError:  # it has ended
            continue
        if int(fields[1]) == parent:
            found.append(int(folder.name))
    return found


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="finds the processes of a node in /proc")
def test_a_process_is_killed_and_two_nodes_end_with_the_weights_of_an_unbroken_run(
    picture_folder: Path, tmp_path: Path, perceptual: VGG19
) -> None:
    vgg = tmp_path / "vgg.safetensors"
    kernels = {
        f"{TORCHVISION_KEYS[name]}.{kind}": getattr(layer, kind)
        for name, layer in perceptual.convolutions.items()
        for kind in ("weight", "bias")
    }
    write_tensors(vgg, kernels, {})
    command = [
        *("-m", "styletransfer", "train", "--content", str(picture_folder), "--style", str(picture_folder)),
        *("--vgg", str(vgg), "--widths", "4,6", "--convolutions", "1,1", "--crop", "32", "--octaves", "1"),
        *("--steps", str(STEPS), "--checkpoint-every", str(CHECKPOINT_EVERY), "--batch", "1"),
        *("--warmup", "2", "--device", "cpu", "--threads", "1", "-q", "--resume"),
    ]
    broken, unbroken = tmp_path / "broken", tmp_path / "unbroken"
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    logs = [tmp_path / f"node{index}.log" for index in range(2)]
    nodes = [start_node([*command, "-o", str(broken)], port, log) for log in logs]
    try:
        wait_for(broken / "checkpoint.safetensors", nodes)
        os.kill(list_children(nodes[1].pid)[0], signal.SIGKILL)
        killed_at = max(read_steps(broken))
        for node in nodes:
            node.wait(200)
    finally:
        for node in nodes:
            node.kill()
    errors = [log.read_text() for log in logs]
    assert [node.returncode for node in nodes] == [0, 0], errors
    assert killed_at < STEPS
    assert "exitcode: -9" in errors[1]
    assert read_steps(broken) == list(range(1, STEPS + 1))

    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "4"]
    words = [sys.executable, *launcher, *command, "-o", str(unbroken)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr
    assert_same_models(broken, unbroken)
    states = [read_tensors(run / "checkpoint.safetensors").tensors for run in (broken, unbroken)]
    assert states[0].keys() == states[1].keys()
    different = [name for name, tensor in states[0].items() if not torch.equal(tensor, states[1][name])]
    assert not different


def wait_for(path: Path, nodes: list[subprocess.Popen[bytes]]) -> None:
    """Wait until a file is there, while the nodes are running."""
    end = time.monotonic() + 200
    while not path.exists():
        assert all(node.poll() is None for node in nodes)
        assert time.monotonic() < end
        time.sleep(0.01)
