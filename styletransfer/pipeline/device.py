"""Choose the device that computes and the precision of every convolution."""

from __future__ import annotations

from typing import NamedTuple

import torch

from ..errors import OptionError
from ..model import Architecture
from ..options import Precision
from .feature_graph import OUTPUT, Node

# Convolutions that tolerate bfloat16 (benchmarks/rounding.py): the index of the first one, by the map that
# they compute. Convolutions that contain a transfer, and those whose output a coarse transfer reads, do not,
# because whitening amplifies the rounding of features with little variance.
BFLOAT16_TOLERANT = {Node("encoded", 1): 1, Node("encoded", 2): 1, Node("decoded", 0): 1, OUTPUT: 0}


class PrecisionPolicy(NamedTuple):
    """The dtypes of all convolutions and maps.

    Attributes:
        name: Name in the options.
        content: Type of the convolutions, except the tolerant ones.
        tolerant: Type of the convolutions in `BFLOAT16_TOLERANT`.
    """

    name: str
    content: torch.dtype
    tolerant: torch.dtype

    def convolution_dtype(self, node: Node, index: int) -> torch.dtype:
        """Return the type of one of the convolutions, counted from 0, that compute a map of a content."""
        tolerates = node in BFLOAT16_TOLERANT and index >= BFLOAT16_TOLERANT[node]
        return self.tolerant if tolerates else self.content

    def map_dtype(self, node: Node, architecture: Architecture) -> torch.dtype:
        """Return the type of a map: that of the convolution it comes from, or else of the next one."""
        kind, scale = node
        if kind == "matches":
            return torch.float32
        if kind in {"merged", "matched"}:
            return self.convolution_dtype(Node("decoded", scale - 1) if scale else OUTPUT, 0)
        if kind == "pooled":
            return self.convolution_dtype(Node("encoded", scale + 1), 0)
        if kind == "encoded":
            return self.convolution_dtype(node, architecture.convolutions[scale] - 1)
        return self.convolution_dtype(node, architecture.decoder_depths[scale + (kind == "decoded")] - 1)

    def store_dtype(self, node: Node, architecture: Architecture) -> torch.dtype:
        """Return the type in which a map is stored; encoder features get that of the map they merge into."""
        own = self.map_dtype(node, architecture)
        if node.kind != "encoded" or node.scale == len(architecture.widths) - 1:
            return own
        merged = self.map_dtype(Node("merged", node.scale), architecture)
        return min(own, merged, key=lambda dtype: dtype.itemsize)


PRECISIONS = {
    "fp32": PrecisionPolicy("fp32", torch.float32, torch.float32),
    "mixed": PrecisionPolicy("mixed", torch.float32, torch.bfloat16),
    "bf16": PrecisionPolicy("bf16", torch.bfloat16, torch.bfloat16),
}


def resolve_device(name: str) -> torch.device:
    """Return the device of a name.

    Args:
        name: "auto" (CUDA, else Apple's MPS, else the CPU), "cpu", "cuda", "cuda:N" or "mps".

    Raises:
        OptionError: This machine has no such device.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise OptionError(
            f"device {name!r} is unknown", hint="choose auto, cpu, cuda, cuda:N or mps"
        ) from error
    count = torch.cuda.device_count() if device.type == "cuda" else 1
    missing = device.type == "mps" and not torch.backends.mps.is_available()
    if missing or (device.index or 0) >= count:
        raise OptionError(f"device {name!r} is not on this machine", hint="choose --device cpu or auto")
    return device


def resolve_precision(precision: Precision, device: torch.device) -> PrecisionPolicy:
    """Return the policy of a precision; "auto" is "mixed" where the processor has bfloat16 instructions.

    Raises:
        OptionError: The device does not have the precision.
    """
    if precision in {"mixed", "bf16"} and device.type == "mps":
        raise OptionError(f"{precision} is not available on mps", hint="choose --precision fp32")
    if precision == "auto":
        precision = "mixed" if device.type == "cpu" and has_bfloat16() else "fp32"
    return PRECISIONS[precision]


def has_bfloat16() -> bool:
    """Tell whether this processor convolves in bfloat16 twice as fast; false where PyTorch cannot tell.

    The processor is asked and not timed, because on a busy machine a trial would not be repeatable.
    """
    if not hasattr(torch.cpu, "get_capabilities"):  # older versions of PyTorch
        return False
    return bool(torch.cpu.get_capabilities().get("avx512_bf16"))
