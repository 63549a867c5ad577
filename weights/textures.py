"""Draw textures and line drawings for training: `python -m weights.textures textures.tar --count 600`.

Scans of paintings contain few punched dots, threads, veins and thin lines on plain ground. A network that has
not seen them in training renders them as a knitted grain.
"""

from __future__ import annotations

import argparse
import io
import math
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from examples.paint.noise import Array, fractal

SIDE = 512  # pixels, the size of the largest other training pictures
QUALITY = 88  # JPEG quality
SUPERSAMPLING = 3  # lines are drawn this many times larger and then reduced
Rng = np.random.Generator


def paint_texture(rng: Rng) -> Image.Image:
    """Draw one texture of a random kind, SIDE x SIDE pixels."""
    kinds: tuple[Callable[[Rng], Array], ...] = (dots, dots, drawing, drawing, hatching, grain, weave, cells)
    return colorize(kinds[rng.integers(len(kinds))](rng), rng)


def coordinates(rng: Rng, warp: float) -> tuple[Array, Array]:
    """Return x and y of every pixel, in pixels from the center, rotated and warped.

    Args:
        rng: Source of all randomness.
        warp: Standard deviation of the displacement in pixels.
    """
    y, x = (np.mgrid[:SIDE, :SIDE] - SIDE / 2).astype(np.float32)
    angle = rng.uniform(0, math.pi)
    bent = [axis + warp * fractal(rng, SIDE, rng.uniform(1, 6), 3) for axis in (x, y)]
    return (
        math.cos(angle) * bent[0] + math.sin(angle) * bent[1],
        math.cos(angle) * bent[1] - math.sin(angle) * bent[0],
    )


def dots(rng: Rng) -> Array:
    """Draw dots that are punched or painted in rows, or in rings around a center."""
    u: Array
    v: Array
    spacing, radius = rng.uniform(4, 16), rng.uniform(0.2, 0.5)
    x, y = coordinates(rng, rng.uniform(0, 12))
    if rng.random() < 0.5:
        x, y = x + rng.uniform(-SIDE, SIDE) / 2, y + rng.uniform(-SIDE, SIDE) / 2
        ring = np.floor(np.hypot(x, y) / spacing)
        around = np.maximum(1, np.round(2 * math.pi * (ring + 0.5)))
        turns = np.arctan2(y, x) / (2 * math.pi) + rng.random(4096)[ring.astype(np.intp) % 4096]
        u, v = np.hypot(x, y) / spacing, turns * around
    else:
        u, v = x / spacing, y / (spacing * rng.uniform(0.7, 1.6))
        u = u + 0.5 * (np.floor(v) % 2)
    # Every dot is moved and resized at random, by the same amounts at all its pixels.
    seed = (np.floor(u) * 157 + np.floor(v) * 311).astype(np.intp) % 8192
    shifts = rng.uniform(-0.2, 0.2, (3, 8192)).astype(np.float32)
    distance = np.hypot(u % 1 - 0.5 + shifts[0][seed], v % 1 - 0.5 + shifts[1][seed])
    inside = (radius * (1 + shifts[2][seed]) - distance) * spacing
    drawn: Array = np.clip(inside * rng.uniform(0.4, 1) + 0.5, 0, 1)
    return drawn


def drawing(rng: Rng) -> Array:
    """Draw a few long lines and arcs of any width on plain ground."""
    canvas = Image.new("L", (SIDE * SUPERSAMPLING, SIDE * SUPERSAMPLING))
    pen = ImageDraw.Draw(canvas)
    widest = SUPERSAMPLING * math.exp(rng.uniform(math.log(1.2), math.log(14)))
    bend = rng.uniform(0, 0.06) * rng.integers(0, 2)
    for _ in range(rng.integers(3, 40)):
        point = rng.uniform(-0.1, 1.1, 2) * SIDE * SUPERSAMPLING
        heading, turn = rng.uniform(0, 2 * math.pi), rng.normal(0, 0.04)
        width = widest * rng.uniform(0.3, 1)
        for _ in range(rng.integers(10, 120)):
            heading += turn + rng.normal(0, bend) + (rng.random() < 0.02) * rng.normal(0, 1)
            onward = point + 8 * SUPERSAMPLING * np.array([math.cos(heading), math.sin(heading)])
            pen.line((*point, *onward), fill=255, width=max(1, round(width)))
            pen.ellipse((*(onward - width / 2), *(onward + width / 2)), fill=255)
            point, width = onward, max(SUPERSAMPLING * 0.8, width * rng.uniform(0.97, 1.02))
    return reduce(canvas)


def hatching(rng: Rng) -> Array:
    """Draw short strokes of a pen or a brush that follow a field of directions."""
    canvas = Image.new("L", (SIDE * SUPERSAMPLING, SIDE * SUPERSAMPLING), int(rng.integers(0, 2)) * 128)
    pen = ImageDraw.Draw(canvas)
    field = fractal(rng, SIDE, rng.uniform(1, 4), 2) * rng.uniform(0.1, 1.5) + rng.uniform(0, math.pi)
    length, width = rng.uniform(8, 50) * SUPERSAMPLING, SUPERSAMPLING * math.exp(rng.uniform(0, math.log(8)))
    wanted = min(9000, int(rng.uniform(0.3, 1.5) * (SIDE * SUPERSAMPLING) ** 2 / (length * width)))
    for x, y in rng.uniform(0, SIDE, (wanted, 2)):
        angle = field[int(y), int(x)] + rng.normal(0, 0.1)
        half = length / 2 * np.array([math.cos(angle), math.sin(angle)]) * rng.uniform(0.5, 1)
        center = np.array([x, y]) * SUPERSAMPLING
        pen.line((*(center - half), *(center + half)), int(rng.integers(0, 256)), max(1, round(width)))
    return reduce(canvas)


def grain(rng: Rng) -> Array:
    """Draw veins of wood or marble: bent waves and elongated noise."""
    x, y = coordinates(rng, rng.uniform(2, 40))
    across = np.hypot(x, y * rng.uniform(0, 0.5)) / rng.uniform(4, 40)
    fibers = fractal(rng, SIDE, (rng.uniform(2, 8), rng.uniform(30, 120)), 2)
    mixed = np.sin(2 * math.pi * across) * rng.uniform(0.2, 1) + fibers * rng.uniform(0.1, 0.8)
    return stretch(mixed)


def weave(rng: Rng) -> Array:
    """Draw woven threads that pass over and under each other."""
    x, y = coordinates(rng, rng.uniform(0, 8))
    spacing = rng.uniform(4, 18)
    u, v = x / spacing, y / (spacing * rng.uniform(0.6, 1.6))
    over = (np.floor(u) + np.floor(v) * rng.integers(1, 3)) % rng.integers(2, 4) < 1
    threads = np.where(over, np.sin(math.pi * (u % 1)), np.sin(math.pi * (v % 1)) * rng.uniform(0.5, 1))
    return stretch(threads + rng.uniform(0, 0.3) * fractal(rng, SIDE, 100, 2))


def cells(rng: Rng) -> Array:
    """Draw scales, pebbles or cracks from the distances to the two nearest of scattered points."""
    x, y = coordinates(rng, rng.uniform(0, 10))
    spacing = rng.uniform(8, 40)
    u, v = x / spacing, y / spacing
    points = rng.random((2, 64, 64)).astype(np.float32)
    column, row = np.floor(u).astype(np.intp), np.floor(v).astype(np.intp)
    distances = []
    for down in (-1, 0, 1):
        for right in (-1, 0, 1):
            at = (row + down) % 64, (column + right) % 64
            distances.append(np.hypot(column + right + points[0][at] - u, row + down + points[1][at] - v))
    nearest, second = np.sort(np.stack(distances), 0)[:2]
    return stretch(nearest) if rng.random() < 0.4 else np.clip((second - nearest) * rng.uniform(2, 8), 0, 1)


def reduce(canvas: Image.Image) -> Array:
    """Reduce a supersampled canvas to a field [SIDE, SIDE] in 0..1."""
    return np.asarray(canvas.resize((SIDE, SIDE), Image.Resampling.BOX), np.float32) / 255


def stretch(field: Array) -> Array:
    """Scale a field to 0..1, where one value in a hundred is clipped."""
    low, high = np.quantile(field, (0.005, 0.995))
    stretched: Array = np.clip((field - low) / (high - low), 0, 1)
    return stretched


def colorize(field: Array, rng: Rng) -> Image.Image:
    """Color a field [SIDE, SIDE] in 0..1 with two or four pigments, as flat ink or as a lit relief."""
    plain = rng.random() < 0.5
    dark, light = (rng.dirichlet((2, 2, 2), 2) * rng.uniform(0.1, 2.4, (2, 1))).clip(0, 1)
    if rng.random() < 0.4:  # ink on paper, or the negative of it
        dark, light = rng.uniform(0, 0.12, 3), rng.uniform(0.85, 1, 3)
    if rng.random() < 0.5:
        dark, light = light, dark
    weight = field[..., None]
    if plain:
        painted = dark + (light - dark) * weight
    else:
        place = stretch(fractal(rng, SIDE, rng.uniform(1, 5), 4))[..., None]
        others = (np.stack((dark, light)) + rng.normal(0, 0.25, (2, 3))).clip(0, 1)
        low, high = dark + (others[0] - dark) * place, light + (others[1] - light) * place
        painted = low + (high - low) * weight
    if rng.random() < 0.4:
        slopes: list[Array] = list(np.gradient(field))
        angle = rng.uniform(0, 2 * math.pi)
        lit = math.cos(angle) * slopes[1] + math.sin(angle) * slopes[0]
        painted = painted + rng.uniform(0.2, 0.8) * lit[..., None]
    painted = painted + rng.uniform(0, 0.04) * fractal(rng, SIDE, SIDE / 2, 1)[..., None]
    return Image.fromarray((painted.clip(0, 1) * 255 + 0.5).astype(np.uint8))


def main() -> None:
    """Write a tar archive of as many textures as the command line asks for."""
    parser = argparse.ArgumentParser(description="Draw textures and line drawings for training.")
    parser.add_argument("archive", type=Path, help="Tar archive to write.")
    parser.add_argument("--count", type=int, default=600, help="Number of pictures (%(default)s).")
    arguments = parser.parse_args()
    with tarfile.open(arguments.archive, "w") as archive:
        for number in range(arguments.count):
            file = io.BytesIO()
            paint_texture(np.random.default_rng(number)).save(file, "JPEG", quality=QUALITY)
            entry = tarfile.TarInfo(f"textures/{number:04}.jpg")
            entry.size = file.tell()
            file.seek(0)
            archive.addfile(entry, file)


if __name__ == "__main__":
    main()
