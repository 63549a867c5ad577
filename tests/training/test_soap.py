"""SOAP: Adam where there are no axes to find, faster where there are, and blind to mixtures of channels."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

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
def test_what_is_no_kernel_takes_the_steps_of_adam(shape: tuple[int, ...]) -> None:
    ends = []
    for optimizer in (SOAP, torch.optim.Adam):
        parameter = nn.Parameter(random(*shape))
        chosen = optimizer([parameter], lr=0.01, betas=(0.95, 0.99))
        ends.append(follow(chosen, parameter, lambda x: (x**4 + x).sum(), 30))
    assert torch.allclose(ends[0], ends[1], rtol=1e-12)


def curved(rotation: Tensor) -> Callable[[Tensor], Tensor]:
    """A valley whose axes mix the outputs and the inputs of a kernel: curvatures from 1 to 10,000."""
    steepness = torch.logspace(0, 2, 6, dtype=torch.float64)

    def loss(kernel: Tensor) -> Tensor:
        turned = torch.einsum("ab,bcij,cd->adij", rotation, kernel, rotation.mT)
        return ((turned**2).sum((2, 3)) * steepness * steepness[:, None]).sum()

    return loss


def test_it_goes_down_a_valley_across_the_axes_that_adam_cannot() -> None:
    loss = curved(orthogonal(6, seed=1))
    ends = []
    for optimizer in (SOAP, torch.optim.Adam):
        parameter = nn.Parameter(random(6, 6, 3, 3))
        for rate in (0.1, 0.03, 0.01, 0.003, 0.001):
            follow(optimizer([parameter], lr=rate), parameter, loss, 60)
        ends.append(float(loss(parameter.detach())))
    assert ends[0] < 0.01 * ends[1]


def test_mixing_the_channels_mixes_the_steps_and_changes_nothing_else() -> None:
    outputs, inputs = orthogonal(6, seed=2), orthogonal(5, seed=3)
    start, goal = random(6, 5, 3, 3, seed=4), random(6, 5, 3, 3, seed=5)

    def mix(kernel: Tensor, left: Tensor, right: Tensor) -> Tensor:
        return torch.einsum("ab,bcij,cd->adij", left, kernel, right)

    plain, mixed = nn.Parameter(start.clone()), nn.Parameter(mix(start, outputs, inputs))
    end = follow(SOAP([plain], lr=0.05), plain, lambda x: (x - goal).pow(4).sum(), 25)
    other = follow(
        SOAP([mixed], lr=0.05), mixed, lambda x: (mix(x, outputs.mT, inputs.mT) - goal).pow(4).sum(), 25
    )
    assert (end - start).norm() > 1
    assert torch.allclose(mix(end, outputs, inputs), other, atol=1e-6)


def test_axes_stay_orthogonal_where_a_kernel_gets_no_gradient() -> None:
    parameter = nn.Parameter(random(4, 3, 3, 3))
    optimizer = SOAP([parameter], lr=0.1)
    end = follow(optimizer, parameter, lambda x: 0 * x.sum(), 25)
    assert torch.equal(end, random(4, 3, 3, 3))
    for mode, size in enumerate((4, 3, 9)):
        axes = optimizer.state[parameter][f"axes{mode}"]
        assert torch.allclose(axes.mT @ axes, torch.eye(size, dtype=torch.float64))
