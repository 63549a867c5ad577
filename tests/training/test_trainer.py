"""Training runs: steps that learn, runs that resume bit for bit, and runs that are refused."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from styletransfer.errors import StyleTransferError
from styletransfer.files import read_tensors, write_tensors
from styletransfer.media import read_picture, write_picture
from styletransfer.model import load_autoencoder, load_model
from styletransfer.model.vgg import TORCHVISION_KEYS, VGG16, VGG19
from styletransfer.options import TrainOptions
from styletransfer.spectrum import norm_bounds
from styletransfer.training import PicturePool, Trainer, TrainingPairs, TrainingReport, build_autoencoder
from styletransfer.training.run_folder import MetricsLog
from styletransfer.training.trainer import compute_learning_rate

from .conftest import OPTIONS, SINGLE_PROCESS, StartRun, make_noise


def assert_same_models(one: Path, other: Path) -> None:
    """Compare the models of two runs bit for bit."""
    states = [load_model(run / "model.safetensors").network.state_dict() for run in (one, other)]
    assert states[0].keys() == states[1].keys()
    assert all(torch.equal(tensor, states[1][name]) for name, tensor in states[0].items())


def read_steps(run: Path) -> list[int]:
    return [json.loads(row)["step"] for row in (run / "metrics.jsonl").read_text().splitlines()]


def take_a_step_and_close(reports: Generator[TrainingReport, None, None]) -> None:
    """Close a run after one more step, which saves it."""
    next(reports)
    reports.close()


def test_learning_rate_rises_then_falls_to_zero() -> None:
    options = TrainOptions(steps=100, warmup=10, learning_rate=1.0)
    rates = [compute_learning_rate(step, options) for step in range(101)]
    assert rates[:10] == sorted(rates[:10])
    assert max(rates) == rates[9] == 1
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert rates[100] == pytest.approx(0)


@pytest.mark.parametrize("steps", [1, 2, 20, 100, 199])
def test_a_warm_up_takes_at_most_half_of_a_run(steps: int) -> None:
    options = TrainOptions(steps=steps, learning_rate=1.0)  # the default warm-up has 200 steps
    rates = [compute_learning_rate(step, options) for step in range(steps)]
    assert max(rates) == 1
    assert rates.index(1) <= steps // 2


def test_training_lowers_the_loss(start_run: StartRun, tmp_path: Path) -> None:
    options = replace(OPTIONS, steps=60, learning_rate=3e-3)
    losses = [report.terms["total"] for report in start_run(tmp_path / "run", options).run()]
    assert sum(losses[-8:]) < 0.7 * sum(losses[:8])


@pytest.mark.parametrize(
    "options",
    [
        OPTIONS,
        replace(OPTIONS, spectral_cap=0.8, spectral_penalty=0.1),
        replace(OPTIONS, optimizer="adam"),
    ],
    ids=["plain", "spectral", "adam"],
)
def test_a_resumed_run_is_the_same_bit_for_bit(
    start_run: StartRun, tmp_path: Path, options: TrainOptions
) -> None:
    list(start_run(tmp_path / "whole", options).run())
    reports = start_run(tmp_path / "parts", replace(options, sample_every=2)).run()
    for _ in range(3):
        next(reports)
    reports.close()  # as Ctrl-C does, between two checkpoints
    rest = list(start_run(tmp_path / "parts", options, resume=True).run())
    assert [report.step for report in rest] == [4, 5, 6]
    assert_same_models(tmp_path / "whole", tmp_path / "parts")
    assert read_steps(tmp_path / "parts") == [1, 2, 3, 4, 5, 6]


def test_a_run_is_never_overwritten_nor_mixed(start_run: StartRun, tmp_path: Path) -> None:
    reports = start_run(tmp_path / "run").run()
    next(reports)
    reports.close()
    with pytest.raises(StyleTransferError, match="holds a run already"):
        start_run(tmp_path / "run")
    with pytest.raises(StyleTransferError, match=r"started with learning_rate 0\.002, not 0\.5"):
        start_run(tmp_path / "run", resume=True, options=replace(OPTIONS, learning_rate=0.5))


@pytest.mark.parametrize(
    ("removed", "added", "message"),
    [
        ("octave_decay", None, "the checkpoint lacks the option octave_decay;"),
        (None, "momentum", "the checkpoint has the unknown option momentum;"),
        ("gradient_clip", "clip", "has the unknown option clip and lacks the option gradient_clip;"),
    ],
)
def test_a_checkpoint_with_other_options_is_refused_by_name(
    start_run: StartRun, tmp_path: Path, removed: str | None, added: str | None, message: str
) -> None:
    next(reports := start_run(tmp_path / "run").run())
    reports.close()
    path = tmp_path / "run" / "checkpoint.safetensors"
    tensors, metadata, _ = read_tensors(path)
    run = json.loads(metadata["run"]) | ({added: 0.5} if added else {})
    run.pop(removed, None)
    write_tensors(path, tensors, {**metadata, "run": json.dumps(run)})
    with pytest.raises(StyleTransferError, match=message):
        start_run(tmp_path / "run", resume=True)


def test_more_steps_extend_a_run(start_run: StartRun, tmp_path: Path) -> None:
    samples = replace(OPTIONS, sample_every=2)
    list(start_run(tmp_path / "run", samples).run())
    longer = replace(samples, steps=10)
    rest = list(start_run(tmp_path / "run", longer, resume=True).run())
    assert [report.step for report in rest] == [7, 8, 9, 10]
    rates = [compute_learning_rate(step, longer) for step in range(6, 10)]
    assert [report.learning_rate for report in rest] == rates
    assert read_steps(tmp_path / "run") == list(range(1, 11))
    with pytest.raises(StyleTransferError, match="started with steps 10, not 9"):
        start_run(tmp_path / "run", replace(samples, steps=9), resume=True)


def test_samples_stay_the_same_when_a_run_is_extended(start_run: StartRun, tmp_path: Path) -> None:
    sheets = []
    for steps in (2, 4):
        options = replace(OPTIONS, steps=steps)
        trainer = start_run(tmp_path / str(steps), options)
        trainer.sample()
        sheets.append((tmp_path / str(steps) / "samples" / "000000.png").read_bytes())
    assert sheets[0] == sheets[1]


def test_resuming_with_other_data_is_refused(start_run: StartRun, tmp_path: Path, perceptual: VGG19) -> None:
    next(trainer := start_run(tmp_path / "run").run())
    trainer.close()
    write_picture(make_noise(9), tmp_path / "other.png")
    pools = [PicturePool(tmp_path)]
    data = TrainingPairs(pools, pools, OPTIONS.crop, OPTIONS.seed, 12)
    model = build_autoencoder(OPTIONS, perceptual=perceptual)
    with pytest.raises(StyleTransferError, match="started with content"):
        Trainer(tmp_path / "run", model, data, perceptual, OPTIONS, SINGLE_PROCESS, resume=True)


def test_caps_hold_in_the_saved_model(start_run: StartRun, tmp_path: Path) -> None:
    list(start_run(tmp_path / "run", replace(OPTIONS, spectral_cap=0.7)).run())
    model = load_autoencoder(tmp_path / "run" / "model.safetensors")
    for layer in (layer for layer in model.decoder.modules() if isinstance(layer, torch.nn.Conv2d)):
        assert 0.65 < norm_bounds(layer, (16, 16), "dense").upper <= 0.7 * (1 + 1e-6)
    assert not any("parametrizations" in name for name in model.state_dict())


def test_the_penalty_lowers_norms(start_run: StartRun, tmp_path: Path) -> None:
    reports = list(start_run(tmp_path / "run", replace(OPTIONS, spectral_penalty=1e3, warmup=0)).run())
    norms = [report.terms["spectral"] for report in reports]
    assert norms == sorted(norms, reverse=True)
    assert reports[0].terms["total"] > 1e3 * norms[0]


def test_steps_without_finite_gradients_are_skipped_and_counted(start_run: StartRun, tmp_path: Path) -> None:
    trainer = start_run(tmp_path / "run")
    with torch.no_grad():
        trainer.model.encoder.scales[0][0].weight[0] = torch.inf  # type: ignore[index]
    before = [parameter.clone() for parameter in trainer.model.parameters()]
    report = next(trainer.run())
    assert report.skipped_steps == 1
    assert all(torch.equal(a, b) for a, b in zip(before, trainer.model.parameters(), strict=True))


@pytest.mark.parametrize("when", ["optimizer", "average", "log", "save"])
def test_ctrl_c_loses_no_step(
    start_run: StartRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    """The interrupt arrives inside of step 3 or while it is saved; the last regular checkpoint has step 2."""
    trainer = start_run(tmp_path / "run")
    reports = trainer.run()
    next(reports)
    next(reports)
    owner, name = {
        "optimizer": (trainer.optimizer, "step"),
        "average": (trainer.average, "update_parameters"),
        "log": (MetricsLog, "write"),
        "save": (trainer, "save"),
    }[when]
    method = getattr(owner, name)

    def interrupt(*arguments: Any) -> None:
        signal.raise_signal(signal.SIGINT)
        method(*arguments)

    monkeypatch.setattr(owner, name, interrupt)
    with pytest.raises(KeyboardInterrupt):
        take_a_step_and_close(reports)
    monkeypatch.undo()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    rest = list(start_run(tmp_path / "run", resume=True).run())
    assert [report.step for report in rest] == [4, 5, 6]
    assert read_steps(tmp_path / "run") == [1, 2, 3, 4, 5, 6]
    list(start_run(tmp_path / "whole").run())
    assert_same_models(tmp_path / "whole", tmp_path / "run")


def test_a_second_ctrl_c_interrupts_at_once(start_run: StartRun, tmp_path: Path) -> None:
    trainer = start_run(tmp_path / "run")
    reports = trainer.run()
    next(reports)

    def hang() -> None:
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        raise AssertionError("the second interrupt was delayed too")

    trainer.optimizer.step = hang
    with pytest.raises(KeyboardInterrupt):
        next(reports)


def test_runs_work_outside_of_the_main_thread(start_run: StartRun, tmp_path: Path) -> None:
    trainer = start_run(tmp_path / "run")
    with ThreadPoolExecutor(1) as pool:
        assert len(pool.submit(list, trainer.run()).result()) == OPTIONS.steps


def test_a_step_that_fails_halfway_is_not_saved(start_run: StartRun, tmp_path: Path) -> None:
    trainer = start_run(tmp_path / "run")
    reports = trainer.run()
    next(reports)
    next(reports)  # saved, because checkpoint_every is 2

    def fail(model: torch.nn.Module) -> None:
        raise MemoryError

    trainer.average.update_parameters = fail  # type: ignore[method-assign]
    with pytest.raises(MemoryError):
        next(reports)
    rest = list(start_run(tmp_path / "run", resume=True).run())
    list(start_run(tmp_path / "whole").run())
    assert rest[-1].step == OPTIONS.steps
    assert_same_models(tmp_path / "whole", tmp_path / "run")


def test_a_run_that_fails_before_its_first_step_leaves_no_checkpoint(
    start_run: StartRun, tmp_path: Path, perceptual: VGG19
) -> None:
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "x.jpg").write_bytes(b"nothing")
    pools = [PicturePool(tmp_path / "bad")]
    data = TrainingPairs(pools, pools, 32, 0, 12)
    model = build_autoencoder(OPTIONS, perceptual=perceptual)
    with pytest.raises(StyleTransferError, match="not readable pictures"):
        list(Trainer(tmp_path / "run", model, data, perceptual, OPTIONS, SINGLE_PROCESS).run())
    start_run(tmp_path / "run")  # the folder is still free


def test_sheets_of_samples_are_written(start_run: StartRun, tmp_path: Path) -> None:
    list(start_run(tmp_path / "run", replace(OPTIONS, steps=2, sample_every=2)).run())
    sheet = read_picture(tmp_path / "run" / "samples" / "000002.png")
    assert sheet.width > 4 * OPTIONS.crop


def test_a_time_limit_ends_the_run_early(start_run: StartRun, tmp_path: Path) -> None:
    reports = list(start_run(tmp_path / "run").run(seconds=0))
    assert [report.step for report in reports] == [1]
    assert (tmp_path / "run" / "checkpoint.safetensors").exists()


@pytest.mark.slow
def test_two_processes_learn_like_one_with_the_joint_batch(
    picture_folder: Path, tmp_path: Path, perceptual: VGG19
) -> None:
    vgg = tmp_path / "vgg.safetensors"
    kernels = {
        f"{TORCHVISION_KEYS[name]}.{kind}": getattr(layer, kind)
        for name, layer in perceptual.convolutions.items()
        for kind in ("weight", "bias")
    }
    write_tensors(vgg, kernels, {})
    folder = str(picture_folder)
    command = [
        *("-m", "styletransfer", "train", "--content", folder, "--style", folder, "--vgg", str(vgg)),
        *("--widths", "4,6", "--convolutions", "1,1", "--steps", "3", "--crop", "32", "--octaves", "1"),
        # The optimizer scales gradients that are mostly rounding to full steps, so the rate has to be small.
        *("--learning-rate", "0.00001", "--device", "cpu", "--threads", "1", "-q"),
    ]
    joint = [*command, "--batch", "4", "-o", str(tmp_path / "joint")]
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    shared = [*launcher, *command, "--batch", "2", "-o", str(tmp_path / "shared")]
    for arguments in (joint, shared):
        done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
    one, two = (
        load_model(tmp_path / run / "model.safetensors").network.state_dict() for run in ("joint", "shared")
    )
    # The color transfer removes the mean, so that the gradient of the last bias is mere rounding.
    assert one.pop("decoder.scales.0.0.bias").shape == (3,)
    for name, tensor in one.items():
        torch.testing.assert_close(two[name], tensor, atol=1e-5, rtol=1e-4)
    rows = [(tmp_path / run / "metrics.jsonl").read_text().splitlines()[0] for run in ("joint", "shared")]
    norms = [json.loads(row)["gradient_norm"] for row in rows]
    assert norms[1] == pytest.approx(norms[0], rel=1e-5)


def test_terms_that_take_long_are_computed_at_some_steps_and_count_as_much(
    start_run: StartRun, deep_network: VGG16, tmp_path: Path
) -> None:
    run = start_run(tmp_path / "run", replace(OPTIONS, steps=8, batch=1), deep_network=deep_network)
    found: dict[str, list[bool]] = {name: [] for name in ("deep", "stability", "identity")}
    for report in run.run():
        for name, values in found.items():
            values.append(report.terms[name] > 0)
    assert found == {
        "deep": [True, False] * 4,
        "stability": [False, True] * 4,
        "identity": [False, True, False, False] * 2,
    }
    pictures = torch.rand(2, 1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    whole, even, odd = (run.loss(*pictures, step)._asdict() for step in (None, 6, 9))
    for name in ("content", "style", "patch", "color", "range"):
        torch.testing.assert_close(even[name], whole[name])
    torch.testing.assert_close(even["deep"], 2 * whole["deep"])
    torch.testing.assert_close(odd["stability"], 2 * whole["stability"])
    torch.testing.assert_close(odd["identity"], 4 * whole["identity"])
