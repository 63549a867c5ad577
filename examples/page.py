"""Make the example pictures of the page, which are small: `python -m examples.page`."""

from __future__ import annotations

from pathlib import Path

from styletransfer.media import read_picture, resize_picture, write_picture

FOLDER = Path(__file__).parent
PAGE = FOLDER.parent / "styletransfer" / "page" / "examples"
EDGE, QUALITY = 512, 80


def main() -> None:
    """Reduce every content and every style."""
    for kind in ("content", "style"):
        (PAGE / kind).mkdir(parents=True, exist_ok=True)
        for path in sorted((FOLDER / kind).glob("*.jpg")):
            picture = read_picture(path)
            edge = min(EDGE, max(picture.width, picture.height))
            write_picture(resize_picture(picture, edge), PAGE / kind / path.name, quality=QUALITY)


if __name__ == "__main__":
    main()
