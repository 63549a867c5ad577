"""Animated GIF, WebP and PNG, written by Pillow."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from ..media import Picture, picture_to_pil
from ..media.formats import explain_writing

CENTISECOND = 10  # milliseconds; delays of GIF are multiples
SHORTEST_DELAY = 20  # milliseconds; players take shorter ones for 100


def write_animation(
    frames: Iterable[Picture],
    delays: Sequence[int],
    path: Path,
    format: str,
    *,
    loops: int | None,
    quality: int,
    comment: str | None,
) -> None:
    """Write an animation.

    GIF and APNG keep all frames in memory until the end, WebP keeps them compressed.

    Args:
        frames: The pictures.
        delays: How long each is shown, in milliseconds.
        path: The file; the caller renames it.
        format: "GIF", "WEBP" or "PNG".
        loops: How often it is repeated, 0 for ever; None plays it once.
        quality: Quality of WebP, 1..100.
        comment: Text to record in a GIF; None records none.

    Raises:
        ImageError: It cannot be written.
    """
    images = map(picture_to_pil, frames)
    first = next(images)
    options: dict[str, Any] = {"save_all": True, "append_images": images, "duration": list(delays)}
    if format == "GIF":
        options |= {"duration": round_delays(delays), "disposal": 2 if first.mode == "RGBA" else 1}
        options |= {} if loops is None else {"loop": loops}
        options |= {} if comment is None else {"comment": comment}
    else:
        options["loop"] = 1 if loops is None else loops
    if format == "PNG":
        options["append_images"] = list(images)  # Pillow goes through them twice
    if format == "WEBP":
        options |= {"quality": quality, "method": 4}
    try:
        with path.open("wb") as file:
            first.save(file, format, **options)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise explain_writing(error, path.name) from error


def round_delays(delays: Sequence[int]) -> list[int]:
    """Round delays to hundredths of a second; what one frame loses by it, the next one gets."""
    rounded, late = [], 0
    for delay in delays:
        wanted = delay + late
        rounded.append(max(SHORTEST_DELAY, round(wanted / CENTISECOND) * CENTISECOND))
        late = wanted - rounded[-1]
    return rounded
