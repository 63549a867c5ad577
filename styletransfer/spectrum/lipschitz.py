"""The Lipschitz constant of a whole network: a certified upper bound, a measured lower bound, and the gap."""

from __future__ import annotations

import copy
import math
import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, fx, nn

from .conv_operator import PADDING_MODULES, Convolution
from .lipschitz_rules import Operation, batch_scale, operation_bound
from .norm_bounds import norm_bounds

POWER_STEPS = 30
SUMS = {operator.add, operator.iadd, operator.sub, torch.add, torch.sub}
PRODUCTS = {operator.mul, torch.mul}


@dataclass(frozen=True)
class LayerLipschitz:
    """The Lipschitz constant of one layer of a network.

    Attributes:
        name: Name in `named_modules`, or of the function that is called.
        kind: Class or function, with what was folded into it.
        size: Rows and columns of its input, (1, 1) if it has none.
        lower: Lower bound; 0 where only an upper bound is computed.
        upper: Upper bound.
        method: Method that gave `upper`: one of `norm_bounds`, or "rule" for other operations.
        failure_probability: Failure probability of `upper`, see `NormBounds`.
    """

    name: str
    kind: str
    size: tuple[int, int]
    lower: float
    upper: float
    method: str
    failure_probability: float = 0.0


@dataclass(frozen=True)
class LipschitzReport:
    """Bounds of the Lipschitz constant of a network at one size of input, in the Euclidean norm.

    Attributes:
        layers: Layers in the order of computation; those whose constant is 1 by their kind are left out.
        upper: Certified upper bound, from the layers' bounds. It is usually far above the constant itself,
            since no input excites the worst case of every layer at once.
        lower: Largest norm of the Jacobian that was found at an input.
        failure_probability: Sum of the layers' failure probabilities, see `NormBounds`.
    """

    layers: tuple[LayerLipschitz, ...]
    upper: float
    lower: float
    failure_probability: float

    @property
    def gap(self) -> float:
        """Factor between the bounds; the constant lies somewhere in between."""
        return self.upper / self.lower if self.lower > 0 else math.inf


def lipschitz(
    model: nn.Module,
    input_size: Sequence[int],
    *,
    inputs: Tensor | None = None,
    tolerance: float = 0.01,
    seed: int = 0,
) -> LipschitzReport:
    """Bound the Lipschitz constant of a network from both sides.

    Constants multiply along a chain and add in a sum; a concatenation has the root of the sum of squares.
    Padding modules and batch normalization are bounded together with their convolution.

    Args:
        model: Network of one image, in evaluation mode, that `torch.fx` can trace.
        input_size: Rows and columns of the image.
        inputs: Images at which the norm of the Jacobian is measured, [B, C, H, W]; by default two images of
            uniform noise in 0..1.
        tolerance: Relative width of bounds that come from Lanczos, see `norm_bounds`.
        seed: Seed of everything random.

    Returns:
        The report, with a row per layer.

    Raises:
        ValueError: The network cannot be traced, or holds an operation without a known bound.

    Source: Szegedy et al. 2014 (arXiv 1312.6199), section 4.3, the product of the layers' norms.
    """
    generator = torch.Generator().manual_seed(seed)
    if inputs is None:
        inputs = torch.rand(2, _input_channels(model), *input_size, generator=generator)
    inputs = inputs.to(next(iter(model.parameters()), inputs))
    try:
        graph = fx.symbolic_trace(model)
    except Exception as error:  # torch.fx lets through whatever the traced code raises
        raise ValueError(f"{type(model).__name__} cannot be traced: {error}") from error
    interpreter = LipschitzInterpreter(graph, tolerance, seed)
    with torch.no_grad():
        interpreter.run(inputs[:1])
    lower = max(jacobian_norm(model, image[None], generator) for image in inputs)
    failure = sum(layer.failure_probability for layer in interpreter.layers)
    return LipschitzReport(tuple(interpreter.layers), interpreter.constant, lower, failure)


def _input_channels(model: nn.Module) -> int:
    for module in model.modules():
        if isinstance(module, Convolution):
            return module.in_channels
    raise ValueError("the network has no convolution that tells its input channels; give inputs")


def jacobian_norm(network: Callable[[Tensor], Tensor], image: Tensor, generator: torch.Generator) -> float:
    """Estimate the norm of a network's Jacobian at an image from below, by power iteration on J^T J.

    Args:
        network: Function that is differentiable at the image.
        image: [1, C, H, W].
        generator: Random numbers for the start.

    Returns:
        The largest ||J v|| / ||v|| found, which is at most the Lipschitz constant of the network.
    """
    image = image.detach().requires_grad_()
    with torch.enable_grad():
        output = network(image)
        # J^T u is linear in u, so that the gradient of <J^T u, v> in u is J v, wherever u is.
        cotangent = torch.zeros_like(output, requires_grad=True)
        (pulled_back,) = torch.autograd.grad(output, image, cotangent, create_graph=True)
    direction = torch.randn(image.shape, generator=generator).to(image)
    largest = 0.0
    for _ in range(POWER_STEPS):
        size = direction.norm()
        if not size > 0:
            break
        (moved,) = torch.autograd.grad(pulled_back, cotangent, direction / size, retain_graph=True)
        largest = max(largest, moved.norm().item())
        (direction,) = torch.autograd.grad(output, image, moved, retain_graph=True)
    return largest


class LipschitzInterpreter(fx.Interpreter):
    """Run a traced network on one image, and bound the Lipschitz constant of every value on the way.

    Attributes:
        layers: Layers whose constant is not 1 by their kind, in order.
        constant: Constant of the network, once it has run.
    """

    def __init__(self, graph: fx.GraphModule, tolerance: float, seed: int) -> None:
        super().__init__(graph, garbage_collect_values=False)
        self.tolerance, self.seed = tolerance, seed
        self.layers: list[LayerLipschitz] = []
        self.constants: dict[fx.Node, float] = {}
        self.constant = math.nan

    def run_node(self, n: fx.Node) -> Any:
        """Compute a value and its constant."""
        value = super().run_node(n)
        self.constants[n] = self.constant = self._node_constant(n)
        return value

    def _node_constant(self, node: fx.Node) -> float:
        if node.op == "placeholder":
            return 1.0
        constants = [self._of(argument) for argument in node.args]
        if not any(constants):
            return 0.0
        if node.target in SUMS:
            return sum(constants)
        if node.op == "output" or node.target is torch.cat:
            return constants[0]
        source = node.args[0]
        if node.target in PRODUCTS and 0.0 in constants:
            constant = node.args[constants.index(0.0)]
            factor = self.env[constant] if isinstance(constant, fx.Node) else constant
            bound = torch.as_tensor(factor).abs().max().item()
            return max(constants) * self._record(node, "scale", self._size(source), bound)
        if not isinstance(source, fx.Node):
            raise ValueError(f"no Lipschitz bound is known for {node.target} of {source}")
        return constants[0] * self._layer_constant(node, source)

    def _of(self, argument: object) -> float:
        """Return the constant of an argument; 0 for what does not depend on the input."""
        if isinstance(argument, fx.Node):
            return self.constants[argument]
        if isinstance(argument, list | tuple):
            return math.hypot(*map(self._of, argument))
        return 0.0

    def _layer_constant(self, node: fx.Node, source: fx.Node) -> float:
        module = self._module(node)
        if isinstance(module, Convolution):
            return self._convolution(node, source, module)
        if self._pads_a_convolution(node) or self._is_folded(node):
            return 1.0
        shape = self.env[source].shape
        if module is not None:
            kind = type(module).__name__
            step = Operation(type(module), module, vars(module) | module._parameters, shape)
        else:
            function = node.target if callable(node.target) else getattr(Tensor, str(node.target))
            kind = getattr(node.target, "__name__", str(node.target))
            step = Operation(
                kind=node.target,
                call=lambda tensor: cast(Tensor, function(tensor, *node.args[1:], **node.kwargs)),
                options=self._options(node),
                shape=shape,
            )
        return self._record(node, kind, self._size(source), operation_bound(step))

    def _convolution(self, node: fx.Node, source: fx.Node, module: Convolution) -> float:
        """Bound a convolution together with the padding before it and the batch normalization after it."""
        kind = type(module).__name__
        pads: list[nn.Module] = []
        while self._pads_a_convolution(source):
            pads.insert(0, self.module.get_submodule(str(source.target)))
            source = cast(fx.Node, source.args[0])
        normalization = self._normalization_after(node)
        if normalization is not None:
            kind += " + BatchNorm2d"
            module = copy.deepcopy(module)
            module.weight.data *= batch_scale(normalization)[:, None, None, None]
        layer = nn.Sequential(*pads, module) if pads else module
        size = self._size(source)
        bounds = norm_bounds(layer, size, tolerance=self.tolerance, seed=self.seed)
        name, failure = str(node.target), bounds.failure_probability
        self.layers.append(
            LayerLipschitz(name, kind, size, bounds.lower, bounds.upper, bounds.method, failure)
        )
        return bounds.upper

    def _pads_a_convolution(self, node: fx.Node) -> bool:
        """Tell whether a node is padding that only one convolution reads."""
        if type(self._module(node)) not in PADDING_MODULES or len(node.users) != 1:
            return False
        (user,) = node.users
        return isinstance(self._module(user), nn.Conv2d) or self._pads_a_convolution(user)

    def _normalization_after(self, node: fx.Node) -> nn.BatchNorm2d | None:
        """Return the batch normalization that alone reads a convolution, whose rows it scales."""
        if not isinstance(self._module(node), nn.Conv2d) or len(node.users) != 1:
            return None
        (user,) = node.users
        module = self._module(user)
        return module if isinstance(module, nn.BatchNorm2d) else None

    def _is_folded(self, node: fx.Node) -> bool:
        source = node.args[0]
        return (
            isinstance(source, fx.Node)
            and self._normalization_after(source) is self._module(node) is not None
        )

    def _module(self, node: fx.Node) -> nn.Module | None:
        return self.module.get_submodule(str(node.target)) if node.op == "call_module" else None

    def _options(self, node: fx.Node) -> dict[str, Any]:
        """Return the arguments of a function by name, wherever they stand."""
        arguments = node.normalized_arguments(self.module, normalize_to_only_use_kwargs=True)
        return dict(arguments.kwargs if arguments else node.kwargs)

    def _size(self, argument: object) -> tuple[int, int]:
        shape = self.env[argument].shape if isinstance(argument, fx.Node) else torch.Size()
        return (shape[2], shape[3]) if len(shape) == 4 else (1, 1)

    def _record(self, node: fx.Node, kind: str, size: tuple[int, int], bound: float) -> float:
        """List a layer unless its constant is 1, and return the constant."""
        if bound != 1:
            self.layers.append(LayerLipschitz(str(node.target), kind, size, 0.0, bound, "rule"))
        return bound
