"""The Lipschitz constant of a whole network: a certified upper bound, a measured lower bound, and the gap."""

from __future__ import annotations

import copy
import math
import operator
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, fx, nn

from .conv_operator import PADDING_MODULES, Convolution
from .lipschitz_rules import (
    CONCATENATIONS,
    CONVOLUTIONS,
    DIFFERENCES,
    PRODUCTS,
    QUOTIENTS,
    SHAPE_ATTRIBUTES,
    SHAPE_METHODS,
    SUMS,
    Operation,
    batch_scale,
    check_evaluation_mode,
    find_rule,
    name_of,
    operation_bound,
    plain_type,
)
from .norm_bounds import norm_bounds
from .spectral_norm import jacobian_norm

ROUNDING = 1e-12  # relative margin for products and sums of constants in float64
AGREEMENT = 1e-4  # relative difference between a network and its trace that rounding explains


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
        ValueError: The network cannot be traced, is not in evaluation mode, draws random numbers, changes a
            value in place that it reads again, or holds an operation without a known bound; the message names
            the cause. What is not understood entirely is refused.

    Source: Szegedy et al. 2014 (arXiv 1312.6199), section 4.3, the product of the layers' norms.
    """
    check_evaluation_mode(model)
    generator = torch.Generator().manual_seed(seed)
    if inputs is None:
        inputs = torch.rand(2, _input_channels(model), *input_size, generator=generator)
    inputs = inputs.to(next(iter(model.parameters()), inputs))
    if inputs.ndim != 4 or tuple(inputs.shape[2:]) != tuple(input_size) or len(inputs) == 0:
        raise ValueError(f"inputs are {list(inputs.shape)}, not [B, C, {input_size[0]}, {input_size[1]}]")
    random_state = _random_state(inputs.device)
    try:
        graph = fx.symbolic_trace(model)
    except Exception as error:  # torch.fx lets through whatever the traced code raises
        raise ValueError(f"{type(model).__name__} cannot be traced: {error}") from error
    interpreter = LipschitzInterpreter(graph, tolerance, seed)
    with torch.no_grad():
        traced, computed = interpreter.run(inputs[:1].clone()), model(inputs[:1].clone())
    if _random_state(inputs.device) != random_state:
        raise ValueError(f"{type(model).__name__} draws random numbers, so it has no Lipschitz bound")
    if not _agree(traced, computed):
        raise ValueError(f"{type(model).__name__} does not compute what its trace computes")
    try:
        lower = max(jacobian_norm(model, image[None], generator) for image in inputs)
    except RuntimeError as error:
        raise ValueError(f"{type(model).__name__} cannot be differentiated: {error}") from error
    failure = sum(layer.failure_probability for layer in interpreter.layers)
    return LipschitzReport(
        layers=tuple(interpreter.layers),
        upper=interpreter.constant * (1 + ROUNDING),
        lower=lower * (1 - 100 * torch.finfo(inputs.dtype).eps),
        failure_probability=failure,
    )


def _random_state(device: torch.device) -> tuple[object, ...]:
    """Return the state of the random number generators that a network could use."""
    states = [torch.random.get_rng_state()]
    if device.type == "cuda":
        states.append(torch.cuda.get_rng_state(device))
    return (random.getstate(), *(state.numpy().tobytes() for state in states))


def _agree(first: object, second: object) -> bool:
    if not isinstance(first, Tensor) or not isinstance(second, Tensor) or first.shape != second.shape:
        return False
    return bool((first - second).abs().max() <= AGREEMENT * second.abs().max()) if first.numel() else True


def _input_channels(model: nn.Module) -> int:
    for module in model.modules():
        if isinstance(module, Convolution):
            return module.in_channels
    raise ValueError("the network has no convolution that tells its input channels; give inputs")


class LipschitzInterpreter(fx.Interpreter):
    """Run a traced network on one image, and bound the Lipschitz constant of every value on the way.

    A value that does not depend on the image has the constant 0. Whatever has no rule raises a `ValueError`.

    Attributes:
        layers: Layers whose constant is not 1 by their kind, in order.
        constant: Constant of the network, once it has run.
    """

    def __init__(self, graph: fx.GraphModule, tolerance: float, seed: int) -> None:
        super().__init__(graph, garbage_collect_values=False)
        self.extra_traceback = False  # errors keep their messages
        self.tolerance, self.seed = tolerance, seed
        self.layers: list[LayerLipschitz] = []
        self.constants: dict[fx.Node, float] = {}
        self.constant = math.nan
        self._overwritten: set[fx.Node] = set()

    def run_node(self, n: fx.Node) -> Any:
        """Compute a value and its constant."""
        for source in n.all_input_nodes:
            if source in self._overwritten:
                raise ValueError(f"{n} reads {source}, which was changed in place")
        module = self._module(n)
        if module is not None and plain_type(module) not in CONVOLUTIONS:
            find_rule(type(module))  # raises before a module that is not known can change its state
        versions = {node: value._version for node, value in self.env.items() if isinstance(value, Tensor)}
        value = super().run_node(n)
        for node, version in versions.items():
            if self.env[node]._version != version:  # views share the version of their base
                if node.op == "get_attr":
                    raise ValueError(f"{n} changes {node.target} in place")
                self._overwritten.add(node)
        self.constants[n] = self.constant = self._constant(n, value)
        return value

    def _constant(self, node: fx.Node, value: object) -> float:
        if node.op == "placeholder":  # other arguments of the network have their defaults
            return 0.0 if self.constants else 1.0
        function = node.target if node.op in {"call_function", "call_method"} else None
        if self._reads_shape(node) or not any(self.constants[source] for source in node.all_input_nodes):
            return 0.0
        if not isinstance(value, Tensor) or not value.is_floating_point():
            raise ValueError(f"no Lipschitz bound is known for {name_of(node.target)}: it is no real tensor")
        if node.op == "output":
            return self._of(node.args[0])
        if function in SUMS | DIFFERENCES:
            return self._sum(node, value)
        if function in PRODUCTS | QUOTIENTS:
            return self._scaled(node, value)
        if function in CONCATENATIONS:
            return self._of(self._arguments(node, "tensors", "dim", "axis")["tensors"])
        source = self._only_source(node)
        if value.dtype != self.env[source].dtype:
            raise ValueError(f"no Lipschitz bound is known for {name_of(node.target)} to another type")
        return self.constants[source] * self._layer_constant(node, source)

    def _reads_shape(self, node: fx.Node) -> bool:
        if node.op == "call_function" and node.target is getattr:
            return node.args[1] in SHAPE_ATTRIBUTES
        return node.op == "call_method" and node.target in SHAPE_METHODS

    def _of(self, argument: object) -> float:
        """Return the constant of an argument; 0 for what does not depend on the input."""
        if isinstance(argument, fx.Node):
            return self.constants[argument]
        if isinstance(argument, list | tuple):
            return math.hypot(*map(self._of, argument))
        return 0.0

    def _arguments(self, node: fx.Node, *names: str) -> dict[str, Any]:
        """Return the arguments of a function or method by the names that are allowed."""
        arguments = dict(zip(names, node.args, strict=False)) | node.kwargs
        if len(node.args) + len(node.kwargs) > len(arguments) or not set(arguments) <= set(names):
            raise ValueError(f"no Lipschitz bound is known for these arguments of {name_of(node.target)}")
        return arguments

    def _value(self, argument: Any) -> Any:
        return fx.node.map_arg(argument, lambda node: self.env[node])

    def _sum(self, node: fx.Node, value: Tensor) -> float:
        if len(node.args) > 2:
            raise ValueError(f"no Lipschitz bound is known for these arguments of {name_of(node.target)}")
        arguments = self._arguments(node, "input", "other", "alpha")
        alpha = arguments.get("alpha", 1)
        if not isinstance(alpha, int | float):
            raise ValueError(f"alpha of {name_of(node.target)} is not a number")
        first, second = (
            self._of(argument) * self._broadcast(argument, value) if self._of(argument) else 0.0
            for argument in (arguments["input"], arguments["other"])
        )
        return first + abs(float(alpha)) * second

    def _scaled(self, node: fx.Node, value: Tensor) -> float:
        arguments = self._arguments(node, "input", "other")
        first, second = arguments["input"], arguments["other"]
        divides = node.target in QUOTIENTS
        if self._of(second) and (divides or self._of(first)):
            raise ValueError(f"no Lipschitz bound is known for {name_of(node.target)} by a variable value")
        source, factor = (first, second) if self._of(first) else (second, first)
        largest = torch.as_tensor(self._value(factor), dtype=torch.float64).abs()
        bound = (1 / largest.min() if divides else largest.max()).item() * self._broadcast(source, value)
        kind = "quotient" if divides else "product"
        return self._of(source) * self._record(node, kind, self._size(source), bound)

    def _broadcast(self, argument: fx.Node, value: Tensor) -> float:
        """Return the norm of the broadcast of an argument to the shape of the result."""
        return math.sqrt(value.numel() / self.env[argument].numel()) if value.numel() else 0.0

    def _only_source(self, node: fx.Node) -> fx.Node:
        """Return the one value that an operation reads, its first argument; others must be constants."""
        source = node.args[0] if node.args else node.kwargs.get("input")
        others = [other for other in node.all_input_nodes if self.constants[other] and other is not source]
        extra = node.op == "call_module" and len(node.args) + len(node.kwargs) > 1
        if not isinstance(source, fx.Node) or not isinstance(self.env[source], Tensor) or others or extra:
            raise ValueError(f"no Lipschitz bound is known for these arguments of {name_of(node.target)}")
        return source

    def _layer_constant(self, node: fx.Node, source: fx.Node) -> float:
        module = self._module(node)
        if isinstance(module, Convolution) and plain_type(module) in CONVOLUTIONS:
            return self._convolution(node, source, module)
        if self._pads_a_convolution(node) or self._is_folded(node):
            return 1.0
        shape = self.env[source].shape
        if module is not None:
            step = Operation(type(module), module, vars(module) | module._parameters, shape)
        else:
            options = self._options(node) if callable(find_rule(node.target)) else {}
            step = Operation(node.target, self._call(node, source), options, shape)
        return self._record(node, name_of(step.kind), self._size(source), operation_bound(step))

    def _call(self, node: fx.Node, source: fx.Node) -> Callable[[Tensor], Tensor]:
        """Return a function of one argument, with the others at their values."""

        def call(tensor: Tensor) -> Tensor:
            args, kwargs = fx.node.map_arg(
                (node.args, node.kwargs), lambda other: tensor if other is source else self.env[other]
            )
            function = node.target if callable(node.target) else getattr(Tensor, node.target)
            return cast(Tensor, function(*args, **kwargs))

        return call

    def _options(self, node: fx.Node) -> dict[str, Any]:
        """Return the arguments of a function by name, wherever they stand."""
        if node.target is operator.getitem:
            return {"index": self._value(node.args[1])}
        arguments = node.normalized_arguments(self.module, normalize_to_only_use_kwargs=True)
        if arguments is None:
            raise ValueError(f"no Lipschitz bound is known for these arguments of {name_of(node.target)}")
        return dict(self._value(arguments.kwargs))

    def _convolution(self, node: fx.Node, source: fx.Node, module: Convolution) -> float:
        """Bound a convolution together with the padding before it and the batch normalization after it."""
        kind = type(module).__name__
        pads: list[nn.Module] = []
        while self._pads_a_convolution(source):
            pads.insert(0, cast(nn.Module, self._module(source)))
            source = self._only_source(source)
        shape = self.env[source].shape
        if len(shape) != 4:
            raise ValueError(f"{kind} of a tensor {list(shape)}, not [B, C, H, W]")
        normalization = self._normalization_after(node)
        if normalization is not None:
            kind += " + BatchNorm2d"
            module = copy.deepcopy(module).double()
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
        return plain_type(self._module(user)) is nn.Conv2d or self._pads_a_convolution(user)

    def _normalization_after(self, node: fx.Node) -> nn.BatchNorm2d | None:
        """Return the batch normalization that alone reads a convolution, whose rows it scales."""
        # The weight of a parametrized convolution, whose type is another, cannot be set.
        if type(self._module(node)) is not nn.Conv2d or len(node.users) != 1:
            return None
        (user,) = node.users
        module = self._module(user)
        return module if type(module) is nn.BatchNorm2d else None

    def _is_folded(self, node: fx.Node) -> bool:
        source = self._only_source(node)
        return self._normalization_after(source) is self._module(node) is not None

    def _module(self, node: fx.Node) -> nn.Module | None:
        return self.module.get_submodule(str(node.target)) if node.op == "call_module" else None

    def _size(self, argument: object) -> tuple[int, int]:
        shape = self.env[argument].shape if isinstance(argument, fx.Node) else torch.Size()
        return (shape[2], shape[3]) if len(shape) == 4 else (1, 1)

    def _record(self, node: fx.Node, kind: str, size: tuple[int, int], bound: float) -> float:
        """List a layer unless its constant is 1, and return the constant."""
        if not math.isfinite(bound):
            raise ValueError(f"{name_of(node.target)} has no finite Lipschitz bound")
        if bound != 1:
            self.layers.append(LayerLipschitz(name_of(node.target), kind, size, 0.0, bound, "rule"))
        return bound
