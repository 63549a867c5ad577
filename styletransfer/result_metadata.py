"""What the file of a result records beside its pixels: the settings, and data of the photograph."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

from styletransfer import __version__

from .options import OutputOptions, StylizeOptions

if TYPE_CHECKING:  # the command line imports this before it knows whether torch is needed
    from .api import Stylizer
    from .media import PhotoMetadata


def list_settings(stylizer: Stylizer, described: Mapping[str, str]) -> dict[str, str]:
    """Return what it takes to make the same pixels again.

    Args:
        stylizer: What made them.
        described: The settings that `describe_settings` returns.
    """
    return {
        "styletransfer": __version__,
        "model_sha256": stylizer.fingerprint,
        "device": stylizer.device,
        "precision": stylizer.precision,
        **described,
    }


def describe_settings(
    content: str, styles: Sequence[str], options: StylizeOptions, model: str, maps: Mapping[str, str]
) -> dict[str, str]:
    """Return those of the recorded settings that are known before the model is loaded.

    Args:
        content: Name of the content's file, without its folder.
        styles: Names of the styles' files.
        options: How the result looks.
        model: Name of the model or of its file.
        maps: Names of the files that say where each style is painted, by setting.
    """
    return {
        "model": model,
        "content": content,
        "styles": ", ".join(styles),
        **maps,
        **{name: str(value) for name, value in asdict(options).items() if value is not None},
        **({"match": "auto"} if options.match is None else {}),
    }


def choose_metadata(photo: PhotoMetadata, output: OutputOptions) -> PhotoMetadata:
    """Return what the options say to write of a content's metadata."""
    exif = photo.exif if output.metadata else b""
    dpi = photo.dpi if output.dpi is None else (output.dpi, output.dpi)
    return replace(photo, exif=exif, dpi=dpi)
