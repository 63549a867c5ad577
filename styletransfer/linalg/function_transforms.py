"""Transforms of `torch.func`: whether one is active, and autograd functions that support all of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch._C import _functorch


def is_batched(*tensors: Tensor | None) -> bool:
    """Return whether one of the tensors is batched by `torch.func.vmap`."""
    if torch.compiler.is_compiling():
        return False
    for tensor in tensors:
        while tensor is not None and _functorch.is_functorch_wrapped_tensor(tensor):
            if _functorch.is_batchedtensor(tensor):
                return True
            tensor = _functorch.get_unwrapped(tensor)
    return False


def values_are_available(tensor: Tensor) -> bool:
    """Return whether control flow may depend on the values of a tensor.

    It may not while a graph is compiled or exported, on the meta device, and inside of `torch.func.vmap`.
    """
    return not (torch.compiler.is_compiling() or tensor.is_meta or is_batched(tensor))


def is_transformed(*tensors: Tensor | None) -> bool:
    """Return whether a transform of `torch.func`, forward-mode differentiation or a compiler is active."""
    if torch.compiler.is_compiling() or _functorch.peek_interpreter_stack() is not None:
        return True
    unpack: Callable[[Tensor], Any] = torch.autograd.forward_ad.unpack_dual
    return any(x is not None and unpack(x).tangent is not None for x in tensors)


class TransformableFunction(torch.autograd.Function):
    """An autograd function that supports `torch.func` and `torch.compile`.

    A subclass defines `forward`, `setup_context`, `backward` and `tangents`. All of its tensors have the same
    leading batch dimensions, unless it defines its own `vmap`. It is called with `call` instead of `apply`.
    """

    _with_jvp: type[torch.autograd.Function]

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "tangents" in vars(cls):
            # The compiler refuses functions that define jvp, so only a subclass defines it.
            members = {"jvp": staticmethod(cls.tangents), "__module__": cls.__module__}
            cls._with_jvp = type(f"{cls.__name__}WithJvp", (cls,), members)

    @staticmethod
    def tangents(ctx: Any, *tangents: Any) -> Any:
        """Return the tangents of the outputs from the tangents of the inputs, as `jvp` does."""
        raise NotImplementedError

    @classmethod
    def call(cls, *arguments: Any) -> Any:
        """Apply the function."""
        if torch.compiler.is_compiling():
            return cls.apply(*arguments)
        return cls._with_jvp.apply(*arguments)

    @classmethod
    def vmap(cls, info: Any, in_dims: tuple[int | None, ...], *arguments: Any) -> tuple[Any, Any]:
        """Move the dimension of `torch.func.vmap` to the front of all tensors, and call the function once."""
        moved = [
            move_to_front(x, dim, info.batch_size) if isinstance(x, Tensor) else x
            for x, dim in zip(arguments, in_dims, strict=True)
        ]
        outputs = cls.call(*moved)
        return outputs, (0,) * len(outputs) if isinstance(outputs, tuple) else 0


def move_to_front(tensor: Tensor, dim: int | None, size: int) -> Tensor:
    """Return a tensor with the dimension of vmap in front; without one, it is expanded to the size."""
    return tensor.expand(size, *tensor.shape) if dim is None else tensor.movedim(dim, 0)
