"""The metrics log of a training run."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from styletransfer.errors import StyleTransferError
from styletransfer.training.run_folder import METRICS, MetricsLog


def test_tensorboard_gets_the_metrics(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import (  # type: ignore[import-untyped]
        EventAccumulator,
    )

    with MetricsLog(tmp_path, 0, tensorboard=True) as log:
        for step in (1, 2):
            log.write({"step": step, "loss": 0.5 * step, "terms": {"style": 0.25}})
    events = EventAccumulator(str(tmp_path)).Reload()
    losses = events.Scalars("loss")
    assert [(event.step, event.value) for event in losses] == [(1, 0.5), (2, 1.0)]
    assert events.Scalars("terms/style")[0].value == 0.25


def test_tensorboard_that_is_missing_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(StyleTransferError, match=r"TensorBoard is not installed.*pip install .*\[log\]"):
        MetricsLog(tmp_path, 0, tensorboard=True)


def test_a_resumed_run_writes_later_steps_again(tmp_path: Path) -> None:
    with MetricsLog(tmp_path, 0) as log:
        for step in (1, 2, 3):
            log.write({"step": step, "loss": float("nan")})
    with MetricsLog(tmp_path, 1) as log:
        log.write({"step": 2, "loss": 1.0})
    rows = [json.loads(line) for line in (tmp_path / METRICS).read_text().splitlines()]
    assert rows == [{"step": 1, "loss": None}, {"step": 2, "loss": 1.0}]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no locks of this kind")
def test_two_processes_do_not_train_in_one_folder(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path\n"
        "from styletransfer.training.run_folder import MetricsLog\n"
        "log = MetricsLog(Path(sys.argv[1]), 9); print('open', flush=True); sys.stdin.read()"
    )
    with MetricsLog(tmp_path, 0) as log:
        log.write({"step": 1, "loss": 0.5})
    words = [sys.executable, "-c", code, str(tmp_path)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"open\n"
        with pytest.raises(StyleTransferError, match="another process is training there"):
            MetricsLog(tmp_path, 0)
        other.kill()
    with MetricsLog(tmp_path, 1):  # the lock ended with the process, and the log was not touched
        assert (tmp_path / METRICS).read_text() == '{"step": 1, "loss": 0.5}\n'
