"""The options --mask, --regions and --style-regions: files that say where each style is painted."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..errors import OptionError
from .click_options import combine
from .console import Console
from .paths import decode_name

if TYPE_CHECKING:
    from ..region_maps import RegionMaps

ALPHA = "alpha"
# Keys under which the files are recorded in results.
MAP_SETTINGS = ("masks", "regions", "style_regions")

map_options = combine(
    click.option(
        "--mask",
        "masks",
        multiple=True,
        metavar="PICTURE|alpha",
        show_default="none",
        help="Where the style is painted: a picture of any size, white where it is and black elsewhere, "
        "or alpha for where the content is visible. Given once per STYLE, each style paints its own part.",
    ),
    click.option(
        "--regions",
        "content_map",
        metavar="PICTURE",
        show_default="none",
        help="A map of the content in which every color marks a region; see --style-regions.",
    ),
    click.option(
        "--style-regions",
        "style_map",
        metavar="PICTURE",
        show_default="none",
        help="A map of the STYLE. Each region of the content is painted in its region of the same color.",
    ),
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

    def read(self, console: Console) -> RegionMaps | None:
        """Read the files; say which regions of the content the style does not have.

        Raises:
            ImageError: A file cannot be read.
            OptionError: The options exclude each other.
        """
        from ..region_maps import RegionMaps

        if (self.content_map is None) != (self.style_map is None):
            raise OptionError("--regions and --style-regions belong together", hint="give both or neither")
        regions = None
        if self.content_map is not None and self.style_map is not None:
            regions = self.content_map, self.style_map
        maps = RegionMaps.open(self.masks or None, regions)
        for color in maps.missing_colors if maps else ():
            console.note(f"{self.style_map} has no region of color {color}; the whole style is used there")
        return maps
