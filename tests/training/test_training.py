"""Training: data that survives reality, steps that learn, runs that resume to the bit."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from styletransfer.errors import OptionError, StyleTransferError
from styletransfer.media import Picture, read_picture, write_picture
from styletransfer.model import load_model
from styletransfer.files import read_tensors, write_tensors
from styletransfer.model.vgg import TORCHVISION_KEYS, VGG19, needed_convolutions
from styletransfer.options import TrainOptions
from styletransfer.spectrum import norm_bounds
from styletransfer.training import PicturePool, Processes, Trainer, TrainingPairs, build_network
from styletransfer.training.data import crop_randomly
from styletransfer.training.losses import (
    average_octaves,
    color_distance,
    content_distance,
    move,
    style_distance,
)
from styletransfer.training.schedule import compute_learning_rate

RECIPE = TrainOptions(
    widths=(4, 6), convolutions=(1, 1), steps=6, batch=2, crop=32, octaves=1, checkpoint_every=2, warmup=2
)


def noise(seed: int, height: int = 48, width: int = 40) -> Picture:
    return Picture.from_float(torch.rand(3, height, width, generator=torch.Generator().manual_seed(seed)))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    for seed in range(3):
        write_picture(noise(seed), folder / f"{seed}.png")
    (folder / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 not much of a JPEG")
    (folder / "notes.txt").write_text("not a picture")
    return folder


@pytest.fixture(scope="module")
def perceptual() -> VGG19:
    torch.manual_seed(0)
    layers = ("relu1_1", "relu2_1", "relu3_1")
    kernels = {}
    for convolution in needed_convolutions(layers):
        kernel = torch.empty(convolution.out_channels, convolution.in_channels, 3, 3)
        kernels[convolution.name] = (
            torch.nn.init.kaiming_normal_(kernel),
            torch.zeros(convolution.out_channels),
        )
    return VGG19(kernels, layers)


Start = Callable[..., Trainer]
ALONE = Processes(0, 1, torch.device("cpu"))


@pytest.fixture
def start(folder: Path, perceptual: VGG19) -> Start:
    def start(run: Path, recipe: TrainOptions = RECIPE, *, resume: bool = False, **beginning: Any) -> Trainer:
        pools = [PicturePool(folder)]
        data = TrainingPairs(pools, pools, recipe.crop, recipe.seed, recipe.steps * recipe.batch)
        model = build_network(recipe, perceptual=perceptual, **beginning)
        return Trainer(run, model, data, perceptual, recipe, ALONE, resume=resume)

    return start


def test_archive_and_folder_hold_the_same(folder: Path, tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "pictures.tar.gz", "w:gz") as archive:
        archive.add(folder, "pictures")
    assert PicturePool(tmp_path / "pictures.tar.gz").files == PicturePool(folder).files


def test_corrupt_files_are_passed_over_and_counted(folder: Path) -> None:
    pool = PicturePool(folder)
    pairs = TrainingPairs([pool], [pool], 32, seed=0, length=20)
    assert sum(pairs[number][2] for number in range(20)) > 0
    assert all(pairs[number][0].shape == (3, 32, 32) for number in range(20))


@pytest.mark.parametrize("content", [{}, {"a.jpg": b"x", "b.png": b""}])
def test_pools_without_pictures_are_refused(tmp_path: Path, content: dict[str, bytes]) -> None:
    for name, data in content.items():
        (tmp_path / name).write_bytes(data)
    with pytest.raises(StyleTransferError, match=str(tmp_path)):
        PicturePool(tmp_path).draw(torch.Generator())
    with pytest.raises(StyleTransferError, match="nowhere"):
        PicturePool(tmp_path / "nowhere")


def test_samples_depend_on_seed_and_number_alone(folder: Path) -> None:
    pool = PicturePool(folder)
    first, again = (TrainingPairs([pool], [pool], 32, seed=5, length=9) for _ in range(2))
    assert torch.equal(first[7][0], again[7][0])
    other = TrainingPairs([pool], [pool], 32, seed=6, length=9)
    assert not torch.equal(first[7][0], other[7][0])


@pytest.mark.parametrize("size", [(48, 40), (10, 70), (1, 1), (200, 200)])
def test_crops_have_the_size_and_vary(size: tuple[int, int]) -> None:
    generator = torch.Generator().manual_seed(0)
    crops = [crop_randomly(noise(0, *size), 32, generator) for _ in range(3)]
    assert all(crop.shape == (3, 32, 32) and 0 <= crop.min() <= crop.max() <= 1 for crop in crops)
    assert size == (1, 1) or not torch.equal(crops[0], crops[1])


def test_learning_rate_rises_then_falls_to_zero() -> None:
    options = TrainOptions(steps=100, warmup=10, learning_rate=1.0)
    rates = [compute_learning_rate(step, options) for step in range(101)]
    assert rates[:10] == sorted(rates[:10])
    assert max(rates) == rates[9] == 1
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert rates[100] == pytest.approx(0)


def test_training_lowers_the_loss(start: Start, tmp_path: Path) -> None:
    recipe = replace(RECIPE, steps=60, learning_rate=3e-3)  # two random painters, one over the other
    losses = [report.terms["total"] for report in start(tmp_path / "run", recipe).run()]
    assert sum(losses[-8:]) < 0.7 * sum(losses[:8])


@pytest.mark.parametrize(
    "recipe",
    [
        RECIPE,
        replace(RECIPE, spectral_cap=0.8, spectral_penalty=0.1),
        replace(RECIPE, optimizer="adam"),
    ],
    ids=["plain", "spectral", "adam"],
)
def test_resumed_run_is_the_same_to_the_bit(start: Start, tmp_path: Path, recipe: TrainOptions) -> None:
    list(start(tmp_path / "whole", recipe).run())
    reports = start(tmp_path / "parts", replace(recipe, sample_every=2)).run()
    for _ in range(3):
        next(reports)
    reports.close()  # as Ctrl-C does: between checkpoints
    rest = list(start(tmp_path / "parts", recipe, resume=True).run())
    assert [report.step for report in rest] == [4, 5, 6]
    tensors = [load_model(tmp_path / run / "model.safetensors").network.state_dict() for run in ("whole", "parts")]
    digests = [
        hashlib.sha256(b"".join(t.numpy().tobytes() for t in state.values())).hexdigest() for state in tensors
    ]
    assert digests[0] == digests[1]
    rows = [json.loads(row) for row in (tmp_path / "parts" / "metrics.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == [1, 2, 3, 4, 5, 6]


def test_a_run_is_never_overwritten_nor_mixed(start: Start, tmp_path: Path) -> None:
    reports = start(tmp_path / "run").run()
    next(reports)
    reports.close()
    with pytest.raises(StyleTransferError, match="holds a run already"):
        start(tmp_path / "run")
    with pytest.raises(StyleTransferError, match="learning_rate"):
        start(tmp_path / "run", resume=True, recipe=replace(RECIPE, learning_rate=0.5))


def test_a_run_can_start_from_weights(start: Start, tmp_path: Path) -> None:
    list(start(tmp_path / "first").run())
    weights = tmp_path / "first" / "model.safetensors"
    trainer = start(tmp_path / "second", init=weights)
    expected = load_model(weights).network.state_dict()
    assert all(torch.equal(tensor, expected[name]) for name, tensor in trainer.model.state_dict().items())


def test_caps_hold_in_the_weights_that_are_kept(start: Start, tmp_path: Path) -> None:
    list(start(tmp_path / "run", replace(RECIPE, spectral_cap=0.7)).run())
    model = load_model(tmp_path / "run" / "model.safetensors").network
    for layer in (layer for layer in model.decoder.modules() if isinstance(layer, torch.nn.Conv2d)):
        assert 0.65 < norm_bounds(layer, (16, 16), "dense").upper <= 0.7 * (1 + 1e-6)
    assert not any("parametrizations" in name for name in model.state_dict())


def test_the_penalty_lowers_norms(start: Start, tmp_path: Path) -> None:
    rows = list(start(tmp_path / "run", replace(RECIPE, spectral_penalty=1e3, warmup=0)).run())
    norms = [row.terms["spectral"] for row in rows]
    assert norms == sorted(norms, reverse=True)
    assert rows[0].terms["total"] > 1e3 * norms[0]


@pytest.mark.parametrize(
    ("name", "before", "other", "message"),
    [
        ("spectral_penalty", 0.0, 1.0, "spectral_penalty None, not 1"),
        ("optimizer", "adam", "soap", "optimizer adam, not soap"),
        ("octave_decay", 1.0, 0.0, "octave_decay 1.0, not 0"),
    ],
)
def test_options_younger_than_a_checkpoint_are_what_was_there_before(
    start: Start, tmp_path: Path, name: str, before: Any, other: Any, message: str
) -> None:
    old, changed = (replace(RECIPE, **{name: value}) for value in (before, other))
    next(reports := start(tmp_path / "run", old).run())
    reports.close()
    path = tmp_path / "run" / "checkpoint.safetensors"
    tensors, metadata, _ = read_tensors(path)
    recipe = json.loads(metadata["run"])
    del recipe[name]
    write_tensors(path, tensors, {**metadata, "run": json.dumps(recipe)})
    start(tmp_path / "run", old, resume=True)
    with pytest.raises(StyleTransferError, match=f"started with {message}"):
        start(tmp_path / "run", changed, resume=True)


def test_steps_without_finite_gradients_are_skipped_and_counted(start: Start, tmp_path: Path) -> None:
    trainer = start(tmp_path / "run")
    with torch.no_grad():
        trainer.model.encoder.scales[0][0].weight[0] = torch.inf  # type: ignore[index]
    before = [parameter.clone() for parameter in trainer.model.parameters()]
    report = next(trainer.run())
    assert report.skipped_steps == 1
    assert all(torch.equal(a, b) for a, b in zip(before, trainer.model.parameters(), strict=True))


def test_the_terms_of_the_loss_ask_for_what_they_say(perceptual: VGG19) -> None:
    features = perceptual(torch.rand(2, 3, 32, 32))
    other = perceptual(torch.rand(2, 3, 32, 32) * torch.tensor([1.0, 0.2, 0.1]).view(3, 1, 1))
    assert style_distance(features, features) == 0
    assert style_distance(other, features) > 0.1
    # Neither where things are nor how strong changes a style's Gram or a content's structure.
    moved = {name: layer.flip(-1) for name, layer in features.items()}
    assert style_distance(moved, features) < 1e-6
    wanted = features["relu3_1"]
    assert content_distance(3 * wanted + 1, wanted) < 0.01  # the eps of the normalisation
    assert content_distance(wanted.flip(-1), wanted) > 0.1


@pytest.mark.parametrize(("decay", "expected"), [(0.0, 4.0), (0.5, 3.0), (1.0, 7 / 3)])
def test_fine_octaves_weigh_more_by_the_decay(decay: float, expected: float) -> None:
    distances = [torch.tensor(value) for value in (4.0, 2.0, 1.0)]
    assert average_octaves(distances, decay) == pytest.approx(expected)


def test_colors_are_compared_wherever_they_are() -> None:
    picture = torch.rand(2, 3, 34, 34)
    assert color_distance(picture, picture) == 0
    scattered = picture.flatten(2)[..., torch.randperm(34 * 34)].view_as(picture)
    assert color_distance(scattered, picture) < 0.05  # other samples of the same colors
    assert color_distance(picture * 0.5, picture) > 0.1
    speckled = picture.clone()
    speckled[:, 0, ::9, ::9] = 5.0
    assert color_distance(speckled, picture) > 0.05


def test_the_next_frame_has_moved_and_is_noisy() -> None:
    picture = torch.full((2, 3, 20, 20), 0.5)
    picture[..., 10, 10] = 1
    frame = move(picture)
    assert frame.shape == (2, 3, 19, 17)
    assert (frame[..., 9, 7] > 0.9).all()
    assert 0.6 < (frame[0] - picture[0, :, 1:, 3:]).std() * 255 / 2 < 1.4
    assert torch.equal(frame[0], frame[1])


def test_a_step_cut_in_half_is_not_saved(start: Start, tmp_path: Path) -> None:
    trainer = start(tmp_path / "run")
    reports = trainer.run()
    next(reports)
    next(reports)  # saved: checkpoint_every is 2

    def interrupt(model: torch.nn.Module) -> None:
        raise KeyboardInterrupt

    trainer.average.update_parameters = interrupt  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        next(reports)
    rest = list(start(tmp_path / "run", resume=True).run())
    list(start(tmp_path / "whole").run())
    assert rest[-1].step == RECIPE.steps
    one, two = (load_model(tmp_path / run / "model.safetensors").network.state_dict() for run in ("whole", "run"))
    assert all(torch.equal(tensor, two[name]) for name, tensor in one.items())


def test_a_run_that_never_began_leaves_no_checkpoint(start: Start, tmp_path: Path, perceptual: VGG19) -> None:
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "x.jpg").write_bytes(b"nothing")
    pools = [PicturePool(tmp_path / "bad")]
    data = TrainingPairs(pools, pools, 32, 0, 12)
    model = build_network(RECIPE, perceptual=perceptual)
    with pytest.raises(StyleTransferError, match="no readable pictures"):
        list(Trainer(tmp_path / "run", model, data, perceptual, RECIPE, ALONE).run())
    start(tmp_path / "run")  # is not in the way


def test_resuming_with_other_data_is_refused(start: Start, tmp_path: Path, perceptual: VGG19) -> None:
    next(trainer := start(tmp_path / "run").run())
    trainer.close()
    write_picture(noise(9), tmp_path / "other.png")
    pools = [PicturePool(tmp_path)]
    data = TrainingPairs(pools, pools, RECIPE.crop, RECIPE.seed, 12)
    model = build_network(RECIPE, perceptual=perceptual)
    with pytest.raises(StyleTransferError, match="started with content"):
        Trainer(tmp_path / "run", model, data, perceptual, RECIPE, ALONE, resume=True)


def test_samples_are_painted(start: Start, tmp_path: Path) -> None:
    list(start(tmp_path / "run", replace(RECIPE, steps=2, sample_every=2)).run())
    sheet = read_picture(tmp_path / "run" / "samples" / "000002.png")
    assert sheet.width > 4 * RECIPE.crop


def test_a_time_limit_ends_the_run_early(start: Start, tmp_path: Path) -> None:
    reports = list(start(tmp_path / "run").run(seconds=0))
    assert [report.step for report in reports] == [1]
    assert (tmp_path / "run" / "checkpoint.safetensors").exists()


def test_only_the_decoder_learns_if_the_encoder_is_frozen(start: Start, tmp_path: Path) -> None:
    recipe = replace(RECIPE, stage="decoder")
    trainer = start(tmp_path / "run", recipe, encoder="vgg19")
    assert trainer.model.architecture.widths == (64, 128, 256)
    before = {name: tensor.clone() for name, tensor in trainer.model.state_dict().items()}
    next(trainer.run())
    changed = {name for name, tensor in trainer.model.state_dict().items() if not tensor.equal(before[name])}
    assert changed
    assert all(name.startswith("decoder.") for name in changed)


def test_an_encoder_of_vgg19_computes_what_vgg19_does(
    start: Start, perceptual: VGG19, tmp_path: Path
) -> None:
    model = start(tmp_path / "run", encoder="vgg19").model
    pictures = torch.rand(1, 3, 48, 48)
    ours = model.encode(pictures)[3]
    theirs = perceptual(pictures)["relu3_1"]
    torch.testing.assert_close(ours[..., 4:-4, 4:-4], theirs[..., 4:-4, 4:-4])


@pytest.mark.parametrize(("encoder", "depths"), [(None, (2, 1)), ("vgg19", (1, 1, 2))])
def test_decoders_are_as_deep_as_asked(
    start: Start, tmp_path: Path, encoder: str | None, depths: tuple[int, ...]
) -> None:
    trainer = start(tmp_path / "run", replace(RECIPE, decoder_convolutions=depths), encoder=encoder)
    assert trainer.model.architecture.decoder_depths == depths
    next(trainer.run())
    assert load_model(tmp_path / "run" / "model.safetensors").network.architecture == trainer.model.architecture


def test_beginnings_that_contradict_are_refused(start: Start, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="2 widths, 2 and 3 convolutions"):
        start(tmp_path / "run", replace(RECIPE, decoder_convolutions=(1, 1, 1)))
    with pytest.raises(OptionError, match="frozen"):
        start(tmp_path / "run", replace(RECIPE, stage="decoder"))
    with pytest.raises(OptionError, match="--init and --encoder"):
        start(tmp_path / "run", init=tmp_path / "x.safetensors", encoder="vgg19")


@pytest.mark.slow
def test_two_processes_learn_as_one_with_the_joint_batch(
    folder: Path, tmp_path: Path, perceptual: VGG19
) -> None:
    network = tmp_path / "vgg.safetensors"
    kernels = {
        f"{TORCHVISION_KEYS[name]}.{kind}": getattr(layer, kind)
        for name, layer in perceptual.convolutions.items()
        for kind in ("weight", "bias")
    }
    write_tensors(network, kernels, {})
    command = [
        *(
            "-m",
            "styletransfer",
            "train",
            "--content",
            str(folder),
            "--style",
            str(folder),
            "--network",
            str(network),
        ),
        *("--widths", "4,6", "--convolutions", "1,1", "--steps", "3", "--crop", "32", "--octaves", "1"),
        *("--device", "cpu", "--threads", "1", "-q"),
    ]
    joint = [*command, "--batch", "4", "-o", str(tmp_path / "joint")]
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    shared = [*launcher, *command, "--batch", "2", "-o", str(tmp_path / "shared")]
    for arguments in (joint, shared):
        done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
    one, two = (load_model(tmp_path / run / "model.safetensors").network.state_dict() for run in ("joint", "shared"))
    for name, tensor in one.items():
        torch.testing.assert_close(two[name], tensor, atol=1e-5, rtol=1e-4)
