"""Make the animated picture of the README: a slow pan over a photograph, painted as a video.

python -m examples.video docs/images/video.webp
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from torch.nn.functional import interpolate

from styletransfer.media import Picture, read_picture, write_picture

HERE = Path(__file__).parent
CONTENT, STYLE = HERE / "content" / "china.jpg", HERE / "style" / "watercolor.jpg"
WIDTH, HEIGHT, FRAMES, RATE = 360, 216, 36, 12
ZOOM = 1.25  # over the first frame, at the last one


def make_frames(folder: Path) -> None:
    """Write frames that move along the photograph and towards it."""
    photo = read_picture(CONTENT).to_float()
    for index in range(FRAMES):
        share = index / (FRAMES - 1)
        width = photo.shape[3] * 0.8 / (1 + (ZOOM - 1) * share)
        height = width * HEIGHT / WIDTH
        left = (photo.shape[3] - width) * (0.1 + 0.8 * share)
        top = (photo.shape[2] - height) * 0.6
        # Whole pixels would make the pan jump, so an enlarged copy is cut.
        scale = WIDTH / width * 2
        large = interpolate(photo, scale_factor=scale, mode="bicubic", antialias=True)
        x, y = round(left * scale), round(top * scale)
        part = large[:, :, y : y + 2 * HEIGHT, x : x + 2 * WIDTH]
        small = interpolate(part, (HEIGHT, WIDTH), mode="area")
        write_picture(Picture.from_float(small), folder / f"{index}.png")


def main() -> None:
    """Make the frames and paint them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("output", type=Path)
    parser.add_argument("--steadiness", default="1")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        make_frames(Path(name))
        words = [name, str(STYLE), "-o", str(arguments.output), "--fps", str(RATE), "--quality", "60", "-f"]
        words += ["--steadiness", arguments.steadiness]
        subprocess.run([sys.executable, "-m", "styletransfer", "video", *words], check=True)


if __name__ == "__main__":
    main()
