"""Repaint any picture in the style of any other.

The names below are the public interface; each is imported on first use, so that
``import styletransfer`` and ``styletransfer --help`` do not wait for torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

__version__ = "0.1.0"

if TYPE_CHECKING:
    from .api import Stylizer, stylize
    from .errors import StyleTransferError
    from .model import StyleStatistics, available_models, load_model
    from .texture import synthesize_texture

__all__ = [
    "StyleStatistics",
    "StyleTransferError",
    "Stylizer",
    "__version__",
    "available_models",
    "load_model",
    "stylize",
    "synthesize_texture",
]

_HOME = {
    "StyleStatistics": ".model",
    "StyleTransferError": ".errors",
    "Stylizer": ".api",
    "available_models": ".model",
    "load_model": ".model",
    "stylize": ".api",
    "synthesize_texture": ".texture",
}


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOME[name], __name__), name)


def __dir__() -> list[str]:
    return sorted(__all__)
