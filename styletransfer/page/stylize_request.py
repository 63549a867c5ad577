"""What a client asks for: pictures by their ids, options, and how the result is encoded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from ..errors import OptionError
from ..options import OutputOptions, StylizeOptions
from .options_form import read_options

FORMATS = {"png": "image/png", "jpeg": "image/jpeg", "webp": "image/webp", "tiff": "image/tiff"}
EXTENSIONS = {"png": "png", "jpeg": "jpg", "webp": "webp", "tiff": "tiff"}
ALPHA = "alpha"
# Long edges: of a preview while a slider moves, and of the sharpest that never waits for full results.
PREVIEW_EDGE, LARGEST_PREVIEW = 384, 1024
MOST_STYLES = 16
LONGEST_TEXT = 100
NAMES = {"content", "styles", "masks", "options", "preview", "format", "bit_depth", "quality", "render"}


@dataclass(frozen=True)
class StylizeRequest:
    """A request, checked.

    Attributes:
        content: Id of the content.
        styles: Ids of the styles, which are blended.
        masks: Ids of masks, or "alpha": none, one, or one per style.
        options: How the result looks.
        output: How it is encoded.
        format: One of `FORMATS`.
        preview: Long edge in pixels of a small and quick picture; None for the full result.
        render: The name by which the client asks for progress; None for none.
    """

    content: str
    styles: tuple[str, ...]
    masks: tuple[str, ...]
    options: StylizeOptions
    output: OutputOptions
    format: str
    preview: int | None
    render: str | None

    @property
    def pixels_key(self) -> tuple[object, ...]:
        """All that decides the pixels of the result."""
        return self.content, self.styles, self.masks, self.options, self.output.bit_depth

    @classmethod
    def parse(cls, body: Mapping[str, Any]) -> StylizeRequest:
        """Check a JSON object.

        Raises:
            OptionError: A member is unknown, of another type or out of its range.
        """
        if unknown := sorted(set(body) - NAMES):
            raise OptionError(
                f"unknown member {unknown[0]!r}", hint=f"choose among {', '.join(sorted(NAMES))}"
            )
        styles, masks = _take_texts(body, "styles"), _take_texts(body, "masks")
        if not 1 <= len(styles) <= MOST_STYLES:
            raise OptionError(f"{len(styles)} styles", hint=f"give one to {MOST_STYLES}")
        given = body.get("options", {})
        if not isinstance(given, dict):
            raise OptionError(f"options is {given!r}", hint="give an object")
        options = read_options(given)
        if len(styles) > 1 and len(masks) < 2 and options.style_weights is None:
            options = replace(options, style_weights=(1.0,) * len(styles))  # as the command line needs it
        if options.style_weights is not None and len(options.style_weights) != len(styles):
            raise OptionError(
                f"{len(options.style_weights)} style weights for {len(styles)} styles",
                hint="give one for each",
            )
        form = _take_text(body, "format", "png")
        if form not in FORMATS:
            raise OptionError(f"format is {form!r}", hint=f"choose one of {', '.join(FORMATS)}")
        output = OutputOptions(bit_depth=body.get("bit_depth", 8), quality=body.get("quality", 95))
        if output.bit_depth == 16 and form not in {"png", "tiff"}:
            raise OptionError(f"{form} holds 8 bits per channel, not 16", hint="choose png or tiff")
        content = _take_text(body, "content")
        render = None if body.get("render") is None else _take_text(body, "render")
        return cls(content, styles, masks, options, output, form, _take_preview(body), render)


def _take_preview(body: Mapping[str, Any]) -> int | None:
    value = body.get("preview", False)
    if isinstance(value, bool):
        return PREVIEW_EDGE if value else None
    if not isinstance(value, int) or not 1 <= value <= LARGEST_PREVIEW:
        raise OptionError(
            f"preview is {str(value)[:100]!r}", hint=f"give true, false or 1..{LARGEST_PREVIEW} pixels"
        )
    return value


def _take_text(body: Mapping[str, Any], name: str, default: str | None = None) -> str:
    value = body.get(name, default)
    if not isinstance(value, str) or not 0 < len(value) <= LONGEST_TEXT:
        raise OptionError(f"{name} is {str(value)[:100]!r}", hint="give a text")
    return value


def _take_texts(body: Mapping[str, Any], name: str) -> tuple[str, ...]:
    values = body.get(name, [])
    if not isinstance(values, list):
        raise OptionError(f"{name} is {str(values)[:100]!r}", hint="give a list")
    return tuple(_take_text({name: value}, name) for value in values)
