"""Build ONNX graphs as one writes tensors: values with operators, and constants that are stored once.

The graphs are written operation by operation instead of traced from torch, because patches are sampled at
places whose number depends on the size of the picture, which a trace cannot follow. Loops also stay loops.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

OPSET = 18
# The oldest version of the format that has this opset, so that old runtimes read the files too.
IR_VERSION = 8
# Size of an axis: a number, or the name of one that is known when the graph runs.
Axis = int | str


@dataclass(frozen=True, eq=False)
class Value:
    """A tensor of a graph that is being built.

    Attributes:
        graph: The graph.
        name: Its name there.
    """

    graph: GraphBuilder
    name: str

    def __add__(self, other: Value | float) -> Value:
        return self.graph.add("Add", self, other)

    def __sub__(self, other: Value | float) -> Value:
        return self.graph.add("Sub", self, other)

    def __rsub__(self, other: float) -> Value:
        return self.graph.add("Sub", other, self)

    def __mul__(self, other: Value | float) -> Value:
        return self.graph.add("Mul", self, other)

    def __truediv__(self, other: Value | float) -> Value:
        return self.graph.add("Div", self, other)

    def __matmul__(self, other: Value) -> Value:
        return self.graph.add("MatMul", self, other)

    def __gt__(self, other: Value | float) -> Value:
        return self.graph.add("Greater", self, other)

    def transpose(self, *axes: int) -> Value:
        """Permute the axes."""
        return self.graph.add("Transpose", self, perm=list(axes))

    def reshape(self, *shape: int | Value) -> Value:
        """Change the shape; -1 stands for what is left, and values are integers of shape [1]."""
        return self.graph.add("Reshape", self, self.graph.join(*shape))

    def sum(self, *axes: int) -> Value:
        """Sum over axes, which are kept with length 1; over all of them if none is given."""
        return self.graph.reduce("ReduceSum", self, axes)

    def mean(self, *axes: int) -> Value:
        """Average over axes, as `sum` does."""
        return self.graph.reduce("ReduceMean", self, axes)

    def size(self, axis: int) -> Value:
        """Return the length of an axis, an integer of shape [1]."""
        return self.graph.add("Shape", self, start=axis, end=axis + 1)

    def cast(self, dtype: Any) -> Value:
        """Convert to another numpy dtype."""
        return self.graph.add("Cast", self, to=helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))


class GraphBuilder:
    """A graph that grows node by node; graphs inside of it share its names and its constants.

    Args:
        outer: The graph in which this one is the body of a loop; None for a graph of its own.
    """

    def __init__(self, outer: GraphBuilder | None = None) -> None:
        self._outermost: GraphBuilder = self if outer is None else outer._outermost
        self._nodes: list[onnx.NodeProto] = []
        self._constants: dict[tuple[str, tuple[int, ...], bytes], tuple[Value, onnx.TensorProto]] = {}
        self._inputs: list[onnx.ValueInfoProto] = []
        self._names = 0

    def _new_name(self) -> str:
        self._outermost._names += 1
        return f"t{self._outermost._names}"

    def input(self, name: str, *shape: Axis) -> Value:
        """Declare an input of float32."""
        self._inputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape))
        return Value(self, name)

    def constant(self, array: NDArray[Any] | float) -> Value:
        """Return a constant; equal ones are stored once, and a plain number is float32."""
        array = np.asarray(array if isinstance(array, np.ndarray) else np.float32(array), order="C")
        owner = self._outermost
        key = str(array.dtype), array.shape, array.tobytes()
        if key not in owner._constants:
            name = self._new_name()
            owner._constants[key] = Value(owner, name), numpy_helper.from_array(array, name)
        return owner._constants[key][0]

    def integers(self, *numbers: int) -> Value:
        """Return a constant vector of int64."""
        return self.constant(np.array(numbers, dtype=np.int64))

    def join(self, *parts: int | Value) -> Value:
        """Join integers, and values that hold some, to one vector."""
        if all(isinstance(part, int) for part in parts):
            return self.integers(*(part for part in parts if isinstance(part, int)))
        values = [self.integers(part) if isinstance(part, int) else part for part in parts]
        return self.add("Concat", *values, axis=0)

    def add(self, operator: str, *inputs: Value | float, **attributes: Any) -> Value:
        """Add a node with one output."""
        return self.add_with_outputs(operator, 1, *inputs, **attributes)[0]

    def add_with_outputs(
        self, operator: str, count: int, *inputs: Value | float, **attributes: Any
    ) -> list[Value]:
        """Add a node and return its outputs. Numbers among the inputs become constants of float32."""
        values = [each if isinstance(each, Value) else self.constant(each) for each in inputs]
        names = [self._new_name() for _ in range(count)]
        node = helper.make_node(operator, [value.name for value in values], names, **attributes)
        self._nodes.append(node)
        return [Value(self, name) for name in names]

    def reduce(self, operator: str, value: Value, axes: Sequence[int]) -> Value:
        """Add a reduction that keeps its axes, or leaves a scalar where it reduces all of them."""
        if not axes:
            return self.add(operator, value, keepdims=0)
        return self.add(operator, value, self.integers(*axes), keepdims=1)

    def loop(self, count: int, start: Sequence[Value], body: Callable[..., tuple[Value, ...]]) -> list[Value]:
        """Repeat a step a number of times.

        Args:
            count: Number of repetitions.
            start: What the first step gets, float32.
            body: The step. It gets the inner graph and the values, and returns as many.
        """
        inner = GraphBuilder(self)
        step, proceed = inner._new_name(), inner._new_name()
        values = [Value(inner, inner._new_name()) for _ in start]
        results = body(inner, *values)
        proceeds = inner.add("Identity", Value(inner, proceed))
        info = helper.make_tensor_value_info
        graph = helper.make_graph(
            inner._nodes,
            inner._new_name(),
            [
                info(step, TensorProto.INT64, []),
                info(proceed, TensorProto.BOOL, []),
                *(info(value.name, TensorProto.FLOAT, None) for value in values),
            ],
            [
                info(proceeds.name, TensorProto.BOOL, []),
                *(info(value.name, TensorProto.FLOAT, None) for value in results),
            ],
        )
        repetitions = self.constant(np.array(count, dtype=np.int64))
        return self.add_with_outputs(
            "Loop", len(values), repetitions, self.constant(np.array(True)), *start, body=graph
        )

    def build(
        self, name: str, outputs: Mapping[str, tuple[Value, Sequence[Axis]]], metadata: Mapping[str, str]
    ) -> onnx.ModelProto:
        """Finish the graph.

        Args:
            name: Name of the graph.
            outputs: The values of float32 that it returns, with their shapes, by name.
            metadata: Texts that the file carries.

        Returns:
            A model that the checker of ONNX has passed.
        """
        for each, (value, _) in outputs.items():
            self._nodes.append(helper.make_node("Identity", [value.name], [each]))
        infos = [
            helper.make_tensor_value_info(each, TensorProto.FLOAT, shape)
            for each, (_, shape) in outputs.items()
        ]
        tensors = [tensor for _, tensor in self._constants.values()]
        graph = helper.make_graph(self._nodes, name, self._inputs, infos, tensors)
        model = helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", OPSET)], producer_name="styletransfer"
        )
        model.ir_version = IR_VERSION
        helper.set_model_props(model, dict(metadata))
        onnx.checker.check_model(model, full_check=True)
        return model
