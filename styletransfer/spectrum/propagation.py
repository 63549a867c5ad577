"""Give every value of a traced network its Lipschitz constant in the input."""

from __future__ import annotations

import copy
import math
import operator
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, fx, nn

from .bounds import norm_bounds
from .gains import Operation, batch_scale, operation_gain
from .layers import MODES

SUMS = {operator.add, operator.iadd, operator.sub, torch.add, torch.sub}
PRODUCTS = {operator.mul, torch.mul}


@dataclass(frozen=True)
class LayerGain:
    """One layer of a network that is not 1-Lipschitz by its kind.

    Attributes:
        name: As in `named_modules`, or of the function's call.
        kind: The class or function, with what was folded into it.
        size: Rows and columns of its input, (1, 1) if it has none.
        lower: Of its Lipschitz constant; 0 where only an upper bound is computed.
        upper: Of its Lipschitz constant.
        method: That gave `upper`: one of `norm_bounds`, or "rule" for other operations.
        failure_probability: Of `upper`, see `Interval`.
    """

    name: str
    kind: str
    size: tuple[int, int]
    lower: float
    upper: float
    method: str
    failure_probability: float = 0.0


class Propagation(fx.Interpreter):
    """Runs a traced network on one image and bounds each step on the way.

    Attributes:
        layers: What is not 1-Lipschitz by its kind, in order.
        constant: Of the network, once it has run.
    """

    def __init__(self, graph: fx.GraphModule, tolerance: float, seed: int) -> None:
        super().__init__(graph, garbage_collect_values=False)
        self.tolerance, self.seed = tolerance, seed
        self.layers: list[LayerGain] = []
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
            gain = torch.as_tensor(factor).abs().max().item()
            return max(constants) * self._record(node, "scale", self._size(source), gain)
        if not isinstance(source, fx.Node):
            raise ValueError(f"no Lipschitz bound is known for {node.target} of {source}")
        return constants[0] * self._gain(node, source)

    def _of(self, argument: object) -> float:
        """Return the constant of an argument; 0 for what does not depend on the input."""
        if isinstance(argument, fx.Node):
            return self.constants[argument]
        if isinstance(argument, list | tuple):
            return math.hypot(*map(self._of, argument))
        return 0.0

    def _gain(self, node: fx.Node, source: fx.Node) -> float:
        module = self._module(node)
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
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
        return self._record(node, kind, self._size(source), operation_gain(step))

    def _convolution(self, node: fx.Node, source: fx.Node, module: nn.Conv2d | nn.ConvTranspose2d) -> float:
        """Bound a convolution together with the padding before it and the batch normalisation after it."""
        kind = type(module).__name__
        pads: list[nn.Module] = []
        while self._pads_a_convolution(source):
            pads.insert(0, self.module.get_submodule(str(source.target)))
            source = cast(fx.Node, source.args[0])
        normalisation = self._normalisation_after(node)
        if normalisation is not None:
            kind += " + BatchNorm2d"
            module = copy.deepcopy(module)
            module.weight.data *= batch_scale(normalisation)[:, None, None, None]
        layer = nn.Sequential(*pads, module) if pads else module
        size = self._size(source)
        bounds = norm_bounds(layer, size, tolerance=self.tolerance, seed=self.seed)
        name, failure = str(node.target), bounds.failure_probability
        self.layers.append(LayerGain(name, kind, size, bounds.lower, bounds.upper, bounds.method, failure))
        return bounds.upper

    def _pads_a_convolution(self, node: fx.Node) -> bool:
        """Tell whether a node is padding that only one convolution reads."""
        if type(self._module(node)) not in MODES or len(node.users) != 1:
            return False
        (user,) = node.users
        return isinstance(self._module(user), nn.Conv2d) or self._pads_a_convolution(user)

    def _normalisation_after(self, node: fx.Node) -> nn.BatchNorm2d | None:
        """Return the batch normalisation that alone reads a convolution, for which rows can be scaled."""
        if not isinstance(self._module(node), nn.Conv2d) or len(node.users) != 1:
            return None
        (user,) = node.users
        module = self._module(user)
        return module if isinstance(module, nn.BatchNorm2d) else None

    def _is_folded(self, node: fx.Node) -> bool:
        source = node.args[0]
        return (
            isinstance(source, fx.Node)
            and self._normalisation_after(source) is self._module(node) is not None
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

    def _record(self, node: fx.Node, kind: str, size: tuple[int, int], gain: float) -> float:
        """List a step unless it is 1-Lipschitz, and return its gain."""
        if gain != 1:
            self.layers.append(LayerGain(str(node.target), kind, size, 0.0, gain, "rule"))
        return gain
