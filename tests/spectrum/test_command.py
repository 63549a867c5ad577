"""`styletransfer spectrum` on real files: rows, JSON, plots, verification, and every way to go wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import get_args

import click
import pytest
import torch
from click.testing import CliRunner, Result
from safetensors.torch import save_file
from torchvision.models import SqueezeNet1_1_Weights, squeezenet1_1

from styletransfer.cli.commands.spectrum import METHODS, spectrum
from styletransfer.errors import OptionError, OutputExistsError, WeightsError
from styletransfer.model import Architecture, Autoencoder, save_model
from styletransfer.spectrum import norm_bounds
from styletransfer.spectrum.distribution import DistributionMethod


def run(*words: str) -> Result:
    return CliRunner(catch_exceptions=False).invoke(spectrum, [*words], standalone_mode=False)


@pytest.fixture
def weights(tmp_path: Path) -> str:
    generator = torch.Generator().manual_seed(0)
    path = tmp_path / "weights.safetensors"
    tensors = {
        name: torch.randn(2, 3, 3, 3, generator=generator) for name in ("first.weight", "second.weight")
    }
    save_file({**tensors, "first.bias": torch.zeros(2)}, path)
    return str(path)


def test_a_row_for_every_convolution_of_a_file(weights: str) -> None:
    result = run(weights, "--size", "8x9")
    header, first, second = result.stdout.splitlines()
    assert header.split()[0] == "layer"
    assert first.split()[:3] == ["first", "2x3x3x3", "zeros"]
    assert second.split()[0] == "second"
    assert "assuming stride 1" in result.stderr


def test_json_holds_what_norm_bounds_says(weights: str) -> None:
    result = run(weights, "--size", "8", "--json", "--layer", "second", "--verify", "--padding", "reflect")
    (facts,) = map(json.loads, result.stdout.splitlines())
    assert facts["size"] == [8, 8]
    assert facts["holds"] is True
    assert facts["lower"] <= facts["exact"] <= facts["upper"]
    assert 0 < facts["stable_rank"] <= facts["count"]
    assert 0 < facts["energy_rank"] <= facts["count"]


def test_our_models_keep_their_own_padding(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = Autoencoder(Architecture(widths=(2, 3), convolutions=(1, 1)))
    path = tmp_path / "model.safetensors"
    save_model(model, path)
    result = run(str(path), "--size", "6", "--json")
    rows = [json.loads(line) for line in result.stdout.splitlines()]
    assert {row["padding"] for row in rows} == {"replicate"}
    by_name = dict(model.named_modules())
    for row in rows:
        assert row["upper"] == pytest.approx(norm_bounds(by_name[row["layer"]], (6, 6)).upper, rel=1e-6)


def test_torchvisions_networks_go_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    weights = SqueezeNet1_1_Weights.DEFAULT
    cached = tmp_path / "hub" / "checkpoints" / Path(weights.url).name
    cached.parent.mkdir(parents=True)
    torch.save(squeezenet1_1().state_dict(), cached)  # what a download would have left
    result = run("squeezenet1_1", "--layer", "features.0", "--size", "8", "--json")
    assert json.loads(result.stdout)["weight"] == [64, 3, 3, 3]
    assert "default weights" in result.stderr
    cached.write_bytes(cached.read_bytes()[:100_000])
    with pytest.raises(WeightsError, match="weights of squeezenet1_1 cannot be downloaded"):
        run("squeezenet1_1")


def test_a_download_is_told_on_stderr(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))

    def download(url: str, path: str, *_: object, **__: object) -> None:
        torch.save(squeezenet1_1().state_dict(), path)

    monkeypatch.setattr("torch.hub.download_url_to_file", download)
    result = run("squeezenet1_1", "--layer", "features.0", "--size", "8", "--json")
    assert json.loads(result.stdout)["weight"] == [64, 3, 3, 3]
    assert "Downloading" in result.stderr


def test_a_plot_is_drawn_and_not_overwritten_unasked(weights: str, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    plot = tmp_path / "spectra.png"
    run(weights, "--size", "6", "--plot", str(plot))
    assert plot.read_bytes().startswith(b"\x89PNG")
    with pytest.raises(OutputExistsError, match="-f overwrites"):
        run(weights, "--size", "6", "--plot", str(plot))
    run(weights, "--size", "6", "--plot", str(plot), "-f")
    assert list(tmp_path.glob(".*")) == []


@pytest.mark.parametrize(
    ("words", "error", "message"),
    [
        (["--layer", "third"], OptionError, "no convolution is called third; there are first, second"),
        (["--size", "1", "--padding", "reflect"], OptionError, "first: .*choose another --size"),
        (["--plot", "spectra.jpg"], OptionError, r"name it \*.png"),
        (["--size", "0"], click.BadParameter, "not a size"),
        (["--size", "3x"], click.BadParameter, "not a size"),
    ],
)
def test_wrong_options_are_named(
    weights: str, words: list[str], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        run(weights, *words)


def test_wrong_networks_are_named(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="not a model of this program or of torchvision"):
        run("resnet1800")
    with pytest.raises(WeightsError, match="no such file"):
        run(str(tmp_path / "missing.safetensors"))
    empty = tmp_path / "empty.safetensors"
    save_file({"bias": torch.zeros(3)}, empty)
    with pytest.raises(OptionError, match="holds no two-dimensional convolution"):
        run(str(empty))


def test_the_methods_on_offer_are_the_librarys() -> None:
    assert sorted(METHODS) == sorted(get_args(DistributionMethod))
