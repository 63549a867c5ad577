"""Initial networks: weights of another run, VGG-19 or a model as the encoder, contradictory options."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from styletransfer.errors import OptionError
from styletransfer.model import load_model
from styletransfer.model.vgg import VGG19
from styletransfer.training import build_autoencoder

from .conftest import OPTIONS, StartRun


def test_a_run_can_start_from_weights(start_run: StartRun, tmp_path: Path) -> None:
    list(start_run(tmp_path / "first").run())
    weights = tmp_path / "first" / "model.safetensors"
    trainer = start_run(tmp_path / "second", init=weights)
    expected = load_model(weights).network.state_dict()
    assert all(torch.equal(tensor, expected[name]) for name, tensor in trainer.model.state_dict().items())


@pytest.mark.parametrize("scales", [1, 2, 3, 5])
def test_networks_of_any_depth_can_match(scales: int, perceptual: VGG19) -> None:
    options = replace(OPTIONS, widths=(4,) * scales, convolutions=(1,) * scales, key_width=6)
    architecture = build_autoencoder(options, perceptual=perceptual).architecture
    assert architecture.match_strengths == (0, 0, 0.5, 1, 1)[-scales:]
    assert architecture.key_scales == list(range(max(0, scales - 2), scales))


def test_keys_are_trained_and_a_resumed_run_ends_alike(start_run: StartRun, tmp_path: Path) -> None:
    options = replace(OPTIONS, key_width=6)
    whole = start_run(tmp_path / "whole", options)
    before = {name: tensor.clone() for name, tensor in whole.model.decoder.keys.state_dict().items()}
    list(whole.run())
    after = whole.model.decoder.keys.state_dict()
    assert all(not torch.equal(after[name], tensor) for name, tensor in before.items())
    first = start_run(tmp_path / "parts", options)
    reports = first.run()
    for _ in range(3):
        next(reports)
    reports.close()
    second = start_run(tmp_path / "parts", options, resume=True)
    list(second.run())
    for name, tensor in whole.model.state_dict().items():
        torch.testing.assert_close(second.model.state_dict()[name], tensor, atol=1e-6, rtol=1e-5)


def test_a_frozen_encoder_does_not_change(start_run: StartRun, tmp_path: Path) -> None:
    options = replace(OPTIONS, stage="decoder")
    trainer = start_run(tmp_path / "run", options, encoder="vgg19")
    assert trainer.model.architecture.widths == (64, 128, 256)
    before = {name: tensor.clone() for name, tensor in trainer.model.state_dict().items()}
    next(trainer.run())
    changed = {name for name, tensor in trainer.model.state_dict().items() if not tensor.equal(before[name])}
    assert changed
    assert all(name.startswith("decoder.") for name in changed)


def test_an_encoder_from_vgg19_computes_the_same_features(
    start_run: StartRun, perceptual: VGG19, tmp_path: Path
) -> None:
    model = start_run(tmp_path / "run", encoder="vgg19").model
    pictures = torch.rand(1, 3, 48, 48)
    features = model.encode(pictures)[3]
    expected = perceptual(pictures)["relu3_1"]
    torch.testing.assert_close(features[..., 4:-4, 4:-4], expected[..., 4:-4, 4:-4])


@pytest.mark.parametrize(("encoder", "depths"), [(None, (2, 1)), ("vgg19", (1, 1, 2))])
def test_decoders_have_the_requested_depths(
    start_run: StartRun, tmp_path: Path, encoder: str | None, depths: tuple[int, ...]
) -> None:
    trainer = start_run(tmp_path / "run", replace(OPTIONS, decoder_convolutions=depths), encoder=encoder)
    assert trainer.model.architecture.decoder_depths == depths
    next(trainer.run())
    loaded = load_model(tmp_path / "run" / "model.safetensors").network
    assert loaded.architecture == trainer.model.architecture


def test_contradictory_options_are_refused(start_run: StartRun, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="2 widths, 2 and 3 convolutions"):
        start_run(tmp_path / "run", replace(OPTIONS, decoder_convolutions=(1, 1, 1)))
    with pytest.raises(OptionError, match="freeze a random encoder"):
        start_run(tmp_path / "run", replace(OPTIONS, stage="decoder"))
    with pytest.raises(OptionError, match="--init and --encoder"):
        start_run(tmp_path / "run", init=tmp_path / "x.safetensors", encoder="vgg19")
