"""The options --mask, --regions and --style-regions: files that say where each style is painted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..errors import OptionError
from .click_options import Decorator, combine
from .console import Console
from .paths import decode_name, expand_contents

if TYPE_CHECKING:
    from ..media import Picture
    from ..region_maps import RegionMaps

ALPHA = "alpha"
# Keys under which the files are recorded in results.
MAP_SETTINGS = ("masks", "regions", "style_regions")


def _make_options(metavar: str, moving: str) -> Decorator:
    """Return the options, with what is said of masks and maps that change with time."""
    return combine(
        click.option(
            "--mask",
            "masks",
            multiple=True,
            metavar=f"{metavar}|alpha",
            show_default="none",
            help="Where the style is painted: a picture of any size, white where it is and black elsewhere, "
            "or alpha for where the content is visible. Given once per STYLE, each style paints its own "
            f"part.{moving}",
        ),
        click.option(
            "--regions",
            "content_map",
            metavar=metavar,
            show_default="none",
            help="A map of the content in which every color marks a region; see --style-regions."
            f"{moving.replace('mask', 'map')}",
        ),
        click.option(
            "--style-regions",
            "style_map",
            metavar="PICTURE",
            show_default="none",
            help="A map of the STYLE. Each region of the content is painted in its region of the same color.",
        ),
    )


map_options = _make_options("PICTURE", "")
video_map_options = _make_options(
    "FILE",
    " A video or an animation is a mask for every time, a folder or quoted pattern of pictures one for every "
    "frame.",
)


@dataclass(frozen=True)
class MapFiles:
    """The files as they were given.

    Attributes:
        masks: Paths of masks, or "alpha".
        content_map: Path of a map of labels for the content.
        style_map: Path of a map of labels for the style.

    Raises:
        OptionError: A file does not exist.
    """

    masks: tuple[str, ...] = ()
    content_map: str | None = None
    style_map: str | None = None

    def __post_init__(self) -> None:
        for path in self.paths:
            if not path.is_file():
                raise OptionError(f"{path}: no such file")

    @property
    def paths(self) -> list[Path]:
        """All files that are read."""
        names = [each for each in self.masks if each != ALPHA]
        return [Path(each) for each in (*names, self.content_map, self.style_map) if each is not None]

    def describe(self) -> dict[str, str]:
        """Return the settings that are recorded in results: names of files, without their folders."""
        files = (self.masks, (self.content_map,), (self.style_map,))
        names = [
            ", ".join(each if each == ALPHA else decode_name(Path(each)) for each in group if each)
            for group in files
        ]
        return {key: name for key, name in zip(MAP_SETTINGS, names, strict=True) if name}

    def read(self, console: Console, first_frames: Mapping[str, Picture] | None = None) -> RegionMaps | None:
        """Read the files; say which regions of the content the style does not have.

        Args:
            console: Receives notes.
            first_frames: The first pictures of those files that change with time, by their names.

        Raises:
            ImageError: A file cannot be read.
            OptionError: The options exclude each other.
        """
        from ..region_maps import RegionMaps

        if (self.content_map is None) != (self.style_map is None):
            raise OptionError("--regions and --style-regions belong together", hint="give both or neither")
        regions, known = None, first_frames or {}
        if self.content_map is not None and self.style_map is not None:
            regions = known.get(self.content_map, self.content_map), self.style_map
        masks = [known.get(each, each) for each in self.masks]
        maps = RegionMaps.open(masks or None, regions)
        try:
            missing = maps.missing_colors if maps else ()
        except OptionError as error:
            names = f"{self.content_map} and {self.style_map}"
            raise OptionError(f"{names}: {error.message}", hint=error.hint) from error
        for color in missing:
            console.note(f"{self.style_map} has no region of color {color}; the whole style is used there")
        return maps


@dataclass(frozen=True)
class VideoMapFiles(MapFiles):
    """The files of a video, whose masks and map of the content may be videos, animations, or many pictures.

    Raises:
        OptionError: A file does not exist, or a folder holds no pictures.
    """

    @property
    def changing(self) -> list[str]:
        """Names of the masks and of the map of the content, which may change with time."""
        names = [*self.masks, *([] if self.content_map is None else [self.content_map])]
        return [each for each in names if each != ALPHA]

    @cached_property
    def frames(self) -> dict[str, tuple[Path, ...]]:
        """The files of those masks that are folders or patterns of pictures, by their names."""
        from ..media import readable_extensions

        several = [each for each in self.changing if not Path(each).is_file()]
        found = {each: expand_contents(each, readable_extensions())[0] for each in several}
        return {name: tuple(each.path for each in group if each.path) for name, group in found.items()}

    @property
    def paths(self) -> list[Path]:
        """All files that are read."""
        names = [*self.changing, *([] if self.style_map is None else [self.style_map])]
        still = [Path(each) for each in names if each not in self.frames]
        return [*still, *(path for group in self.frames.values() for path in group)]
