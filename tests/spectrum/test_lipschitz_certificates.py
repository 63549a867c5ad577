"""The upper bound of `lipschitz` is never violated: networks are certified or refused."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable

import pytest
import torch
from conv_layers import conv
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import parametrize

from styletransfer.spectrum import lipschitz, register_norm_cap

SIZE = (5, 6)
CHANNELS = 2
Function = Callable[[Tensor], Tensor]


class Network(nn.Module):
    """A network from a function of its input and its layers."""

    def __init__(self, function: Callable[..., Tensor], *layers: nn.Module) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x, *self.layers)


def largest_jacobian(network: nn.Module, seed: int = 0, points: int = 3) -> float:
    """The largest norm of the whole Jacobian matrix at a few points, in an unchanged copy of the network."""
    generator = torch.Generator().manual_seed(seed)
    network = copy.deepcopy(network)
    largest = 0.0
    for scale in (0.1, 1.0, 5.0)[:points]:
        image = scale * torch.randn(1, CHANNELS, *SIZE, generator=generator, dtype=torch.float64)
        jacobian = torch.autograd.functional.jacobian(lambda x: network(x.clone()), image)  # type: ignore[no-untyped-call]
        matrix = jacobian.reshape(-1, image.numel())
        largest = max(largest, float(torch.linalg.matrix_norm(matrix, 2)))
    return largest


def bound(network: nn.Module) -> float:
    inputs = torch.rand(2, CHANNELS, *SIZE, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    report = lipschitz(network, SIZE, inputs=inputs)
    assert report.lower <= report.upper
    return report.upper


def same(x: Tensor) -> Tensor:
    return x


CONSTANT = torch.tensor([[[2.0]], [[-3.0]]], dtype=torch.float64)
SUPPORTED: dict[str, Callable[[], nn.Module]] = {
    "sum with alpha": lambda: Network(lambda x, c: torch.add(x, c(x), alpha=10), conv(2, 2, padding=1)),
    "difference with alpha": lambda: Network(
        lambda x, c: torch.sub(other=c(x), input=x, alpha=-10), conv(2, 2, padding=1)
    ),
    "broadcast sum": lambda: Network(lambda x, c: x + c(x), conv(2, 2, SIZE)),
    "method with keyword": lambda: Network(lambda x: x.add(other=x, alpha=2)),
    "concatenation by keyword": lambda: Network(
        lambda x, c: torch.cat(tensors=[x, c(x)], dim=1), conv(2, 1, padding=1)
    ),
    "stack": lambda: Network(lambda x, c: torch.stack((x, c(x))), conv(2, 2, padding=1)),
    "module with keyword": lambda: Network(lambda x, c: c(input=x), conv(2, 2, padding=1)),
    "function with keyword": lambda: Network(lambda x: functional.interpolate(input=x, scale_factor=2)),
    "size from the input": lambda: Network(
        lambda x, c: functional.interpolate(c(x), size=x.shape[2:]), conv(2, 2, stride=2)
    ),
    "product with a broadcast constant": lambda: Network(lambda x, c: c(x) * CONSTANT, conv(2, 1, padding=1)),
    "quotient": lambda: Network(lambda x: x / 0.25),
    "ELU": lambda: Network(lambda x, e: e(x), nn.ELU(5.0)),
    "in place": lambda: Network(lambda x, c, r: r(c(x)) + x, conv(2, 2, padding=1), nn.ReLU(inplace=True)),
    "in-place sum": lambda: Network(in_place_sum, conv(2, 2, padding=1)),
    "flattened": lambda: Network(lambda x, c: c(x).flatten(1), conv(2, 2, padding=1)),
    "selection": lambda: Network(lambda x, c: c(x[:, 1:]), conv(1, 2, padding=1)),
    "capped, then normalized": lambda: nn.Sequential(capped(), scaled_normalization()).eval(),
}


def in_place_sum(x: Tensor, c: nn.Module) -> Tensor:
    y: Tensor = c(x)
    y += x
    return y


def capped() -> nn.Conv2d:
    layer = conv(2, 2, padding=1)
    register_norm_cap(layer, 0.5)
    return layer


def scaled_normalization() -> nn.BatchNorm2d:
    norm = nn.BatchNorm2d(2).double().eval()
    norm.weight.data.fill_(20)
    return norm


@pytest.mark.parametrize("name", SUPPORTED)
def test_these_networks_are_certified(name: str) -> None:
    network = SUPPORTED[name]().eval()
    exact = largest_jacobian(network)
    assert exact * (1 - 1e-9) <= bound(network) < 4 * exact


def changed_in_place(x: Tensor, c: nn.Module) -> Tensor:
    y: Tensor = c(x)
    changed = y.add_(9 * y)
    return torch.cat([y, changed])


def changed_through_a_view(x: Tensor, c: nn.Module) -> Tensor:
    y: Tensor = c(x)
    z = y.flatten(1)
    z += 9 * z
    return y


def hooked(kind: str) -> nn.Module:
    layer = conv(2, 2, padding=1)
    if kind == "post":
        layer.register_forward_hook(lambda module, inputs, output: 10 * output)
    elif kind == "pre":
        layer.register_forward_pre_hook(lambda module, inputs: (10 * inputs[0],))
    else:
        setattr(layer, kind, lambda *arguments: 10 * arguments[0])
    return layer


def quantized() -> nn.Module:
    configuration = torch.ao.quantization.get_default_qat_qconfig()  # type: ignore[no-untyped-call]
    layer: nn.Module = torch.ao.nn.qat.Conv2d(2, 2, 3, qconfig=configuration)
    return layer


class Squared(nn.Module):
    def forward(self, weight: Tensor) -> Tensor:
        return weight * weight


def squared_linear() -> nn.Module:
    layer = nn.Linear(6, 6).double()
    parametrize.register_parametrization(layer, "weight", Squared())
    return layer


class TwoInputs(nn.Module):
    def forward(self, x: Tensor, y: Tensor | None = None, scale: float = 3.0) -> Tensor:
        return torch.cat([x, scale * x])


class Buffer(nn.Module):
    seen: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("seen", torch.zeros(1, CHANNELS, *SIZE, dtype=torch.float64))

    def forward(self, x: Tensor) -> Tensor:
        self.seen.add_(x)
        return self.seen * 1.0


REFUSED: dict[str, Callable[[], nn.Module]] = {
    "dropout in training mode": lambda: Network(lambda x, d: d(x), nn.Dropout(0.9)).train(),
    "functional dropout": lambda: Network(lambda x: functional.dropout(x, 0.9)),
    "batch statistics": lambda: Network(
        lambda x, n: n(x), nn.BatchNorm2d(2, track_running_stats=False).double()
    ),
    "product of values": lambda: Network(lambda x, c: x * c(x), conv(2, 2, padding=1)),
    "division by a value": lambda: Network(lambda x: 1 / x),
    "random constant": lambda: Network(lambda x: x * torch.randn(1, dtype=torch.float64)),
    "random values": lambda: Network(lambda x: x + torch.rand_like(x)),
    "expansion": lambda: Network(lambda x: x.expand(4, CHANNELS, *SIZE)),
    "repetition": lambda: Network(lambda x: x[:, [0, 0, 0, 0]]),
    "detached": lambda: Network(lambda x: x.detach()),
    "data": lambda: Network(lambda x: x.data),
    "changed in place": lambda: Network(changed_in_place, conv(2, 2, padding=1)),
    "changed through a view": lambda: Network(changed_through_a_view, conv(2, 2, padding=1)),
    "changed buffer": Buffer,
    "hook": lambda: Network(lambda x, c: c(x), hooked("post")),
    "hook before": lambda: Network(lambda x, c: c(x), hooked("pre")),
    "other forward": lambda: Network(lambda x, c: c(x), hooked("forward")),
    "other method": lambda: Network(lambda x, c: c(x), hooked("_conv_forward")),
    "quantized": lambda: Network(lambda x, c: c(x), quantized()),
    "other type": lambda: Network(lambda x: x.view(torch.int64).view(torch.float64) + x.to(torch.float32)),
    "keyword out": lambda: Network(lambda x: torch.tanh(x, out=x)),
    "hook of the network": lambda: hooked("post"),
    "parametrized linear layer": lambda: Network(lambda x, c: c(x), squared_linear()),
    "cap in training mode": lambda: Network(lambda x, c: c(x), capped()).train(),
    "unbatched": lambda: Network(lambda x, c: c(x[0]), conv(2, 2, padding=1)),
    "output size": lambda: Network(
        lambda x, c: c(x, output_size=(10, 12)), nn.ConvTranspose2d(2, 2, 1, stride=2).double()
    ),
    "indices": lambda: Network(lambda x, p: p(x)[0], nn.MaxPool2d(2, return_indices=True)),
    "several outputs": lambda: Network(lambda x: (x, x)),  # type: ignore[arg-type, return-value]
    "infinite factor": lambda: Network(lambda x: x * float("inf")),
    "softmax": lambda: Network(lambda x: functional.softmax(100 * x, 1)),
}


@pytest.mark.parametrize("name", REFUSED)
def test_these_networks_are_refused(name: str) -> None:
    network = REFUSED[name]()
    network = network if "training" in name else network.eval()
    state = {key: tensor.clone() for key, tensor in network.state_dict().items()}
    with pytest.raises(ValueError):  # noqa: PT011
        bound(network)
    if name != "changed buffer":
        assert all(torch.equal(tensor, state[key]) for key, tensor in network.state_dict().items())


def test_default_arguments_are_constants() -> None:
    assert bound(TwoInputs().eval()) == pytest.approx(10**0.5)


def test_inputs_are_not_changed() -> None:
    inputs = torch.randn(1, CHANNELS, *SIZE, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    before = inputs.clone()
    network = nn.Sequential(nn.ReLU(inplace=True), conv(2, 2, padding=1)).eval()
    assert lipschitz(network, SIZE, inputs=inputs).lower > 0
    assert torch.equal(inputs, before)


def test_an_output_that_ignores_the_input_has_constant_zero() -> None:
    report = lipschitz(
        Network(lambda x, c: c.weight * 2, conv(2, 2)).eval(), SIZE, inputs=torch.zeros(1, 2, *SIZE)
    )
    assert (report.lower, report.upper) == (0, 0)


def test_a_float32_network_keeps_its_bounds_in_order() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(2, 2, 1), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(60, 3)).eval()
    report = lipschitz(network, SIZE)
    assert report.lower <= report.upper
    linear = nn.Sequential(nn.Flatten(), nn.Linear(60, 3)).eval()
    report = lipschitz(linear, SIZE, inputs=torch.rand(2, 2, *SIZE))
    assert 0.999 * report.upper < report.lower <= report.upper


class RandomGraph(nn.Module):
    """Random operations on random earlier values; the last two values are the output."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        draw = random.Random(seed)
        torch.manual_seed(seed)
        self.layers = nn.ModuleList()
        self.steps: list[tuple[Function, int, int]] = []
        values = [torch.randn(1, CHANNELS, *SIZE, dtype=torch.float64)]
        while len(values) < 4:
            step = self._draw_step(draw, values), draw.randrange(len(values)), draw.randrange(len(values))
            try:
                with torch.no_grad():
                    made = step[0](values[step[1]].clone(), values[step[2]].clone())  # type: ignore[call-arg]
            except (RuntimeError, ValueError, IndexError):
                continue
            if isinstance(made, Tensor) and made.ndim == 4 and 0 < made.numel() < 2000:
                self.steps.append(step)
                values.append(made)

    def _draw_step(self, draw: random.Random, values: list[Tensor]) -> Function:
        number = draw.choice([-2.5, 0.3, 1, 4])
        channels = draw.choice([1, 2, 3])
        scale = torch.randn(draw.choice([1, channels]), 1, 1, dtype=torch.float64)
        layer = draw.choice(
            [
                conv(channels, 2, padding=1, seed=draw.randrange(99)),
                conv(channels, channels, padding=1, groups=channels, padding_mode="reflect"),
                conv(channels, 2, 2, stride=2, dilation=draw.choice([1, 2])),
                nn.ConvTranspose2d(channels, 2, 3, stride=2, padding=1).double(),
                nn.Sequential(nn.ReflectionPad2d(1), conv(channels, 2)),
                nn.Sequential(conv(channels, 2), scaled_normalization()),
                scaled_normalization(),
                nn.ReLU(inplace=draw.random() < 0.5),
                nn.LeakyReLU(number),
                nn.ELU(number),
                nn.Dropout(0.5).train(draw.random() < 0.1),
                nn.MaxPool2d(draw.choice([2, 3]), stride=draw.choice([1, 2]), dilation=draw.choice([1, 2])),
                nn.AvgPool2d(2, ceil_mode=True),
                nn.AdaptiveAvgPool2d(1),
                nn.Upsample(scale_factor=draw.choice([0.7, 2]), mode=draw.choice(["nearest", "bilinear"])),
                nn.ZeroPad2d((1, -1, 0, 2)),
                nn.Linear(6, 6).double(),
                nn.Softmax(1),
                nn.GELU(),
                nn.Sigmoid(),
            ]
        )
        at = len(self.layers)
        self.layers.append(layer)
        index = draw.choice([slice(0, 1), [0, 0, 0], slice(None)])
        functions: list[Callable[[Tensor, Tensor], Tensor]] = [
            *[lambda x, y: self.layers[at](x)] * 12,
            lambda x, y: x + y,
            lambda x, y: torch.add(x, y, alpha=number),
            lambda x, y: torch.sub(x, other=y, alpha=number),
            lambda x, y: y.sub(x),
            lambda x, y: x.add_(y),
            lambda x, y: torch.cat(tensors=[x, y], dim=1),
            lambda x, y: torch.cat((x, y, x), -1),
            lambda x, y: x * scale,
            lambda x, y: number * x,
            lambda x, y: x / number,
            lambda x, y: number / x,
            lambda x, y: x * y,
            lambda x, y: -x,
            lambda x, y: x[:, index],  # type: ignore[index]
            lambda x, y: x.permute(0, 1, 3, 2),
            lambda x, y: functional.relu(x, inplace=True),
            lambda x, y: functional.interpolate(x, size=y.shape[2:]),
            lambda x, y: functional.max_pool2d(input=x, kernel_size=2, stride=1),
            lambda x, y: functional.avg_pool2d(x, 3, 1, 1),
            lambda x, y: torch.exp(x),
            lambda x, y: x.mean((2, 3), keepdim=True),
            lambda x, y: torch.maximum(x, y),
            lambda x, y: x.repeat(1, 2, 1, 1),
            lambda x, y: x.clamp(-1, 1),
        ]
        return draw.choice(functions)  # type: ignore[return-value]

    def forward(self, x: Tensor) -> Tensor:
        values = [x]
        for function, first, second in self.steps:
            values.append(function(values[first], values[second]))  # type: ignore[call-arg]
        return torch.cat([values[-1].flatten(), values[-2].flatten()])


def test_random_graphs_are_certified_or_refused() -> None:
    certified = refused = 0
    for seed in range(300):
        network = RandomGraph(seed)
        try:
            upper = bound(network)
        except ValueError:
            refused += 1
            continue
        certified += 1
        assert largest_jacobian(network, seed) <= upper * (1 + 1e-9), seed
    assert min(certified, refused) > 100
