"""SOAP: equal to Adam without axes, faster with them, and equivariant to mixtures of channels."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from styletransfer.training.run_folder import load_checkpoint, save_checkpoint
from styletransfer.training.soap import SOAP


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def orthogonal(size: int, seed: int) -> Tensor:
    basis: Tensor = torch.linalg.qr(random(size, size, seed=seed))[0]
    return basis


def follow(
    optimizer: torch.optim.Optimizer, parameter: nn.Parameter, loss: Callable[[Tensor], Tensor], steps: int
) -> Tensor:
    for _ in range(steps):
        optimizer.zero_grad()
        loss(parameter).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return parameter.detach()


@pytest.mark.parametrize("shape", [(7,), (5, 1, 1), (4, 3)])
def test_parameters_that_are_not_kernels_get_adam_steps(shape: tuple[int, ...]) -> None:
    ends = []
    for optimizer in (SOAP, torch.optim.Adam):
        parameter = nn.Parameter(random(*shape))
        chosen = optimizer([parameter], lr=0.01, betas=(0.95, 0.99))
        ends.append(follow(chosen, parameter, lambda x: (x**4 + x).sum(), 30))
    assert torch.allclose(ends[0], ends[1], rtol=1e-12)


def curved(rotation: Tensor) -> Callable[[Tensor], Tensor]:
    """Return a quadratic loss with rotated axes in outputs and inputs and curvatures from 1 to 10,000."""
    steepness = torch.logspace(0, 2, 6, dtype=torch.float64)

    def loss(kernel: Tensor) -> Tensor:
        turned = torch.einsum("ab,bcij,cd->adij", rotation, kernel, rotation.mT)
        return ((turned**2).sum((2, 3)) * steepness * steepness[:, None]).sum()

    return loss


def test_soap_minimizes_a_rotated_quadratic_that_adam_cannot() -> None:
    loss = curved(orthogonal(6, seed=1))
    ends = []
    for optimizer in (SOAP, torch.optim.Adam):
        parameter = nn.Parameter(random(6, 6, 3, 3))
        for rate in (0.1, 0.03, 0.01, 0.003, 0.001):
            follow(optimizer([parameter], lr=rate, betas=(0.95, 0.99)), parameter, loss, 60)
        ends.append(float(loss(parameter.detach())))
    assert ends[0] < 0.01 * ends[1]


def mix(kernel: Tensor, *mixtures: Tensor) -> Tensor:
    """Mix the outputs, the inputs and the nine positions of a kernel."""
    return torch.einsum("ao,bi,cp,oip->abc", *mixtures, kernel.flatten(2)).view(kernel.shape)


def test_steps_are_equivariant_to_mixtures_of_channels_and_positions() -> None:
    mixtures = [orthogonal(size, seed=size) for size in (6, 5, 9)]
    back = [mixture.mT for mixture in mixtures]
    start, goal = random(6, 5, 3, 3, seed=4), random(6, 5, 3, 3, seed=5)
    plain, mixed = nn.Parameter(start.clone()), nn.Parameter(mix(start, *mixtures))
    end = follow(SOAP([plain], lr=0.05), plain, lambda x: (x - goal).pow(4).sum(), 25)
    other = follow(SOAP([mixed], lr=0.05), mixed, lambda x: (mix(x, *back) - goal).pow(4).sum(), 25)
    assert (end - start).norm() > 1
    assert torch.allclose(mix(end, *mixtures), other, atol=1e-6)


def test_axes_converge_to_those_of_noisy_gradients_in_every_mode() -> None:
    """The first gradient has other axes than all later ones."""
    sizes = 6, 5, 9
    mixtures = [orthogonal(size, seed=size) for size in sizes]
    strengths = [torch.logspace(0, 1.2, size, dtype=torch.float64) for size in sizes]
    parameter = nn.Parameter(torch.zeros(6, 5, 3, 3, dtype=torch.float64))
    optimizer = SOAP([parameter], lr=0.0)
    for step in range(300):
        noise = random(*sizes, seed=step)
        scaled = torch.einsum("o,i,p,oip->oip", *strengths, noise).view(parameter.shape)
        parameter.grad = 1000 * random(6, 5, 3, 3, seed=1000) if step == 0 else mix(scaled, *mixtures)
        optimizer.step()
    for mode, mixture in enumerate(mixtures):
        overlap = (mixture.mT @ optimizer.state[parameter][f"axes{mode}"]).abs()
        assert overlap.flip(1).diagonal().min() > 0.9, mode  # strongest first


def test_the_first_gradient_of_a_kernel_only_initializes_the_axes() -> None:
    """In its own eigenbasis the gradient is mostly rounding, which Adam would scale to full steps."""
    kernel, bias = nn.Parameter(random(6, 5, 3, 3)), nn.Parameter(random(6))
    optimizer = SOAP([kernel, bias], lr=0.1)
    moved = []
    for _ in range(2):
        before = [kernel.detach().clone(), bias.detach().clone()]
        optimizer.zero_grad()
        (kernel.square().sum() + bias.square().sum()).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        moved.append([not torch.equal(*pair) for pair in zip(before, (kernel, bias), strict=True)])
    assert moved == [[False, True], [True, True]]


def test_axes_stay_orthogonal_without_a_gradient_for_a_kernel_or_a_part_of_it() -> None:
    parameter = nn.Parameter(random(4, 3, 3, 3))
    optimizer = SOAP([parameter], lr=0.1)
    end = follow(optimizer, parameter, lambda x: 0 * x.sum(), 25)
    assert torch.equal(end, random(4, 3, 3, 3))
    end = follow(optimizer, parameter, lambda x: (x[1:] ** 2).sum(), 25)
    assert end.isfinite().all()
    for mode, size in enumerate((4, 3, 9)):
        axes = optimizer.state[parameter][f"axes{mode}"]
        assert torch.allclose(axes.mT @ axes, torch.eye(size, dtype=torch.float64))


@pytest.mark.parametrize("cut", [1, 9, 10, 11])
def test_soap_resumes_from_a_checkpoint_bit_for_bit(tmp_path: Path, cut: int) -> None:
    def begin() -> tuple[nn.Module, SOAP]:
        torch.manual_seed(0)
        module = nn.Sequential(nn.Conv2d(3, 6, 3), nn.Conv2d(6, 4, 3)).to(memory_format=torch.channels_last)
        return module, SOAP(module.parameters(), lr=0.01)

    def train(module: nn.Module, optimizer: SOAP, steps: range) -> None:
        for step in steps:
            pictures = torch.rand(2, 3, 12, 12, generator=torch.Generator().manual_seed(step))
            optimizer.zero_grad()
            module(pictures).square().mean().backward()
            optimizer.step()

    whole, first, second = begin(), begin(), begin()
    train(*whole, range(25))
    train(*first, range(cut))
    path = tmp_path / "checkpoint.safetensors"
    save_checkpoint(path, modules={"model": first[0]}, optimizer=first[1], run={}, progress={})
    load_checkpoint(path, path.read_bytes(), modules={"model": second[0]}, optimizer=second[1], run={})
    train(*second, range(cut, 25))
    for one, two in zip(whole[0].parameters(), second[0].parameters(), strict=True):
        assert torch.equal(one, two)
