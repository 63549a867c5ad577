"""Choose where to compute and how precisely."""

from __future__ import annotations

import torch

from ..errors import OptionError
from ..options import Precision
from .arithmetic import ARITHMETICS, Arithmetic


def resolve_device(name: str) -> torch.device:
    """Turn the user's word for a device into one that exists here.

    Args:
        name: "auto" (CUDA, else Apple's MPS, else CPU), "cpu", "cuda", "cuda:N" or "mps".

    Raises:
        OptionError: The machine has no such device.
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


def resolve_precision(precision: Precision, device: torch.device) -> Arithmetic:
    """Choose the types of the convolutions; "auto" is "mixed" where a processor has instructions for it."""
    if precision in {"mixed", "bf16"} and device.type == "mps":
        raise OptionError(f"{precision} is not available on mps", hint="choose --precision fp32")
    if precision == "auto":
        precision = "mixed" if device.type == "cpu" and has_bfloat16() else "fp32"
    return ARITHMETICS[precision]


def has_bfloat16() -> bool:
    """Tell whether this processor convolves in bfloat16 twice as fast; false where PyTorch cannot tell.

    Asked and not timed: on a busy machine a trial would choose now one precision, now the other.
    """
    if not hasattr(torch.cpu, "get_capabilities"):  # older PyTorch
        return False
    return bool(torch.cpu.get_capabilities().get("avx512_bf16"))
