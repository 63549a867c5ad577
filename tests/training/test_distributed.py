"""Several processes that train one network: joining them and leaving them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

# Threads of the process group that are still there at the end of the interpreter can abort the process.
JOIN_AND_LEAVE = """
from pathlib import Path

import torch

from styletransfer.training import join_processes, leave_processes
from styletransfer.training.distributed import any_process
from styletransfer.training.soap import SOAP

processes = join_processes(torch.device("cpu"))
weight = torch.nn.Parameter(torch.ones(2, 2))
optimizer = SOAP([weight], lr=0.1)
weight.sum().backward()
optimizer.step()
assert any_process(processes.rank == 1, processes)
names = lambda: sorted((task / "comm").read_text().strip() for task in Path("/proc/self/task").iterdir())
assert any("gloo" in name for name in names())
leave_processes()
assert not any("gloo" in name for name in names()), names()
"""


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="finds the threads of a process in /proc")
def test_no_thread_of_the_process_group_is_left_after_it(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(JOIN_AND_LEAVE, encoding="utf-8")
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = subprocess.run(
        [sys.executable, *launcher, str(program)], capture_output=True, text=True, timeout=200
    )
    assert done.returncode == 0, done.stderr
