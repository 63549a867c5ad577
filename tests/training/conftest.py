"""A small network, a few pictures and a perceptual network with random weights, for all tests of training."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from styletransfer.media import Picture, write_picture
from styletransfer.model import Autoencoder
from styletransfer.model.vgg import DEEP_LAYERS, STYLE_LAYERS, VGG16, VGG19, Kernel, needed_convolutions
from styletransfer.options import TrainOptions
from styletransfer.training import PicturePool, Processes, Trainer, TrainingPairs, build_autoencoder

OPTIONS = TrainOptions(
    widths=(4, 6), convolutions=(1, 1), steps=6, batch=2, crop=32, octaves=1, checkpoint_every=2, warmup=2
)
SINGLE_PROCESS = Processes(0, 1, torch.device("cpu"))

StartRun = Callable[..., Trainer[Autoencoder]]


def make_noise(seed: int, height: int = 48, width: int = 40) -> Picture:
    return Picture.from_float(torch.rand(3, height, width, generator=torch.Generator().manual_seed(seed)))


@pytest.fixture(scope="session")
def picture_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three pictures, a corrupt one and a text file."""
    folder = tmp_path_factory.mktemp("pictures")
    for seed in range(3):
        write_picture(make_noise(seed), folder / f"{seed}.png")
    (folder / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 not much of a JPEG")
    (folder / "notes.txt").write_text("not a picture")
    return folder


@pytest.fixture(scope="session")
def perceptual() -> VGG19:
    return VGG19(make_kernels(STYLE_LAYERS, VGG19))


@pytest.fixture(scope="session")
def deep_network() -> VGG16:
    return VGG16(make_kernels(DEEP_LAYERS, VGG16), DEEP_LAYERS)


def make_kernels(layers: Sequence[str], network: type[VGG19 | VGG16]) -> dict[str, Kernel]:
    """Return random kernels for the convolutions up to some layers."""
    torch.manual_seed(0)
    kernels: dict[str, Kernel] = {}
    for convolution in needed_convolutions(layers, network):
        kernel = torch.empty(convolution.out_channels, convolution.in_channels, 3, 3)
        kernels[convolution.name] = (
            torch.nn.init.kaiming_normal_(kernel),
            torch.zeros(convolution.out_channels),
        )
    return kernels


@pytest.fixture
def start_run(picture_folder: Path, perceptual: VGG19) -> StartRun:
    """A function that builds a network and its trainer in a folder."""

    def start(
        run: Path,
        options: TrainOptions = OPTIONS,
        *,
        resume: bool = False,
        deep_network: VGG16 | None = None,
        **initial: Any,
    ) -> Trainer[Autoencoder]:
        pools = [PicturePool(picture_folder)]
        data = TrainingPairs(pools, pools, options.crop, options.seed, options.steps * options.batch)
        model = build_autoencoder(options, perceptual=perceptual, **initial)
        return Trainer(
            run,
            model,
            data,
            perceptual,
            options,
            SINGLE_PROCESS,
            deep_network=deep_network,
            resume=resume,
        )

    return start
