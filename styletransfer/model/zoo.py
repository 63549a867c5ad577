"""Networks of torchvision, by name, to be looked at beside our own."""

from __future__ import annotations

from typing import cast

from torch import nn

from ..errors import OptionError, WeightsError


def load_torchvision(name: str) -> nn.Module:
    """Load a network of torchvision with its default weights, downloaded unless they are in torch's cache.

    Raises:
        OptionError: torchvision is missing, or has no network of this name.
        WeightsError: The weights cannot be downloaded.
    """
    try:
        from torchvision import models  # here only: it doubles the time to start
    except ImportError as error:
        raise OptionError(f"torchvision cannot be imported ({error})") from error
    if name not in models.list_models():
        raise OptionError(
            f"{name} is no model of this program or of torchvision", hint="or give a .safetensors file"
        )
    try:
        return cast(nn.Module, models.get_model(name, weights="DEFAULT").eval())
    except (OSError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise WeightsError(
            f"the weights of {name} cannot be had ({reason})", hint="connect once to download them"
        ) from error
