"""Find the sky of photographs by a rule without a network, and show what it finds: tried and not built in.

    python -m benchmarks.sky PHOTO ... --sheet FILE.png [--maps FOLDER]

The sheet shows every photograph beside its sky, in pink, with "sky", or with the reason why the rule rejects
what it found (docs/regions.md says how often it is right). --maps writes the skies that it accepts as maps of
two colors for `--regions` and `--style-regions`, to be looked at before they are used.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from styletransfer.media import Picture, read_picture, resize_picture, write_picture
from styletransfer.media.contact_sheet import Tile, draw_contact_sheet
from styletransfer.transfer.color_transfer import LUMA
from styletransfer.transfer.local_affine import average_windows, fit_local_affine

LONG_EDGE, WORKING_EDGE = 512, 192
# Gradients, in levels of 255 per pixel, that may bound a sky; the one that tells most colors apart is taken.
THRESHOLDS = torch.linspace(3, 40, 20)
# A pixel is sky if its color is within this many deviations of a quadratic function of the position.
MOST_DEVIATIONS, LEAST_DEVIATION = 3.0, 0.012
# A sky grows by this share of the height through pixels whose color changes evenly, up to a steepest slope.
GROWTH, MOST_CURVATURE, MOST_SLOPE = 1 / 8, 2.5, 25.0
# Share of the picture, of its upper edge and of its lowest tenth that a sky has.
LEAST_SHARE, MOST_SHARE, LEAST_TOP, MOST_BOTTOM = 0.06, 0.85, 0.35, 0.08
MOST_TEXTURE = 6.0  # median gradient
GUIDE_RADIUS, GUIDE_RIDGE = 12, 1e-4
PINK = 1.0, 0.0, 0.6


class Sky(NamedTuple):
    """What the rule finds.

    Attributes:
        mask: [H, W] in 0..1.
        rejection: Why it is not taken for a sky; empty if it is.
    """

    mask: Tensor
    rejection: str


def find_sky(picture: Tensor) -> Sky:
    """Find the sky of a picture [1, 3, H, W] in 0..1.

    Source: Shen and Wang 2013 (IJARS 10(10)), the border of a sky by columns and its energy. Differs: it only
    provides the colors of a sky; the region is what has these colors and touches the upper edge.
    """
    scale = WORKING_EDGE / max(picture.shape[2:])
    small = F.interpolate(picture, scale_factor=scale, mode="bilinear", antialias=True)
    slope, curvature = measure_changes(small)
    sky, threshold = find_border(small[0], slope)
    if not sky.any():
        return Sky(torch.zeros(picture.shape[2:]), "no smooth top")
    positions = quadratic_terms(*slope.shape)
    for _ in range(4):
        difference = (small[0].permute(1, 2, 0) - positions @ fit_colors(small[0], sky, positions)).abs()
        deviation = difference[sky].median(0).values * 1.48 + LEAST_DEVIATION
        near = (difference / deviation).square().mean(2).sqrt() < MOST_DEVIATIONS
        sky = flood(near & (slope < max(threshold, 8)))
        if sky.sum() < 0.03 * sky.numel():
            return Sky(torch.zeros(picture.shape[2:]), "small")
    maps = sky[None, None].float()
    for size, sign in ((3, -1), (5, 1), (3, -1)):  # opened and closed
        maps = sign * F.max_pool2d(sign * maps, size, 1, size // 2)
    maps = flood(maps[0, 0] > 0.5)[None, None].float()
    even = ((curvature < MOST_CURVATURE) & (slope < MOST_SLOPE)).float()
    for _ in range(int(GROWTH * len(slope))):
        maps = torch.maximum(maps, F.max_pool2d(maps, 3, 1, 1) * even)
    # What the sky cuts off from the lower edge is a cloud or a bird.
    sky = ~flood((maps[0, 0] < 0.5).flip(0)).flip(0)
    return Sky(refine(picture, sky), judge(small[0], sky, slope))


def measure_changes(picture: Tensor) -> tuple[Tensor, Tensor]:
    """Return slope and curvature of the colors, each [H, W] in levels of 255."""

    def blur(maps: Tensor) -> Tensor:
        return F.avg_pool2d(F.pad(maps, (1, 1, 1, 1), mode="replicate"), 3, 1)

    smooth = blur(picture)
    padded = F.pad(smooth, (1, 1, 1, 1), mode="replicate")
    across = padded[..., 1:-1, 2:] - padded[..., 1:-1, :-2]
    down = padded[..., 2:, 1:-1] - padded[..., :-2, 1:-1]
    slope = (across.square() + down.square()).sum(1).sqrt()[0] * 255 / 2
    return slope, (blur(smooth) - smooth).abs().amax(1)[0] * 255


def find_border(colors: Tensor, slope: Tensor) -> tuple[Tensor, float]:
    """Return what lies above the first steep pixel of every column, and the best threshold for that."""
    height, width = slope.shape
    best, energy, chosen = torch.zeros(height, width, dtype=torch.bool), 0.0, 0.0
    for threshold in THRESHOLDS.tolist():
        steep = slope > threshold
        steep[0] = False
        above = steep.cumsum(0) == 0
        if not 0.03 < above.float().mean() < 0.97:
            continue
        spreads = []
        for part in (above, ~above):
            covariance = torch.cov(colors[:, part]).double() + 1e-5 * torch.eye(3)
            eigenvalues = torch.linalg.eigvalsh(covariance)
            spreads.append(float(eigenvalues.prod() ** (1 / 3) + eigenvalues[-1]))
        if (value := 1 / (2 * spreads[0] + spreads[1])) > energy:
            best, energy, chosen = above, value, threshold
    return best, chosen


def quadratic_terms(height: int, width: int) -> Tensor:
    """Return the terms of a quadratic function of the position, [H, W, 6]."""
    y, x = torch.meshgrid(torch.linspace(-1, 1, height), torch.linspace(-1, 1, width), indexing="ij")
    return torch.stack([torch.ones_like(x), x, y, x * x, x * y, y * y], -1)


def fit_colors(colors: Tensor, sky: Tensor, positions: Tensor) -> Tensor:
    """Fit the colors [3, H, W] of a sky by the terms of `positions`, robustly; [6, 3]."""
    terms, values = positions[sky], colors[:, sky].T
    weights, found = torch.ones(len(values), 1), torch.zeros(terms.shape[1], 3)
    for _ in range(5):
        found = torch.linalg.lstsq(terms * weights.sqrt(), values * weights.sqrt()).solution
        weights = 1 / ((values - terms @ found).norm(dim=1, keepdim=True) + 0.03)
    return found


def flood(allowed: Tensor) -> Tensor:
    """Return what is connected with the upper edge through allowed pixels, [H, W]."""
    maps, free = torch.zeros(1, 1, *allowed.shape), allowed[None, None].float()
    maps[..., 0, :] = free[..., 0, :]
    while not (grown := F.max_pool2d(maps, 3, 1, 1) * free).equal(maps):
        maps = grown
    return maps[0, 0] > 0


def judge(colors: Tensor, sky: Tensor, slope: Tensor) -> str:
    """Return why a region is no sky, by place, smoothness and color; empty if it may be one."""
    share, top = float(sky.float().mean()), float(sky[0].float().mean())
    bottom = float(sky[-max(1, len(sky) // 10) :].float().mean())
    if not LEAST_SHARE < share < MOST_SHARE or top < LEAST_TOP or bottom > MOST_BOTTOM:
        return "place"
    if slope[sky].median() > min(MOST_TEXTURE, 0.8 * float(slope[~sky].median())):
        return "texture"
    means = [colors[:, part].mean(1) for part in (sky, ~sky)]
    light, rest = (float(mean @ torch.tensor(LUMA)) for mean in means)
    red, green, blue = means[0].tolist()
    is_blue = blue >= red + 0.03 and blue >= green - 0.06
    is_gray = max(red, green, blue) - min(red, green, blue) < 0.2 * max(red, green, blue) and light > 0.35
    is_warm = red >= green >= blue and light > max(0.35, rest + 0.1)
    return "" if is_blue or is_gray or is_warm else "color"


def refine(picture: Tensor, sky: Tensor) -> Tensor:
    """Enlarge a mask to the size of its picture, and guide it by that; [H, W]."""
    size = picture.shape[2:]
    mask = F.interpolate(sky[None, None].float(), size, mode="bilinear").expand(1, 3, -1, -1)
    model = average_windows(fit_local_affine(picture, mask, GUIDE_RADIUS, GUIDE_RIDGE), GUIDE_RADIUS)
    row, offset = model[:, :3], model[:, 9]
    return ((row * picture).sum(1) + offset)[0].clamp(0, 1)


@torch.no_grad()
def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("photos", type=Path, nargs="+")
    parser.add_argument("--sheet", type=Path, required=True)
    parser.add_argument("--maps", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    rows = []
    for path in arguments.photos:
        picture = resize_picture(read_picture(path), LONG_EDGE).to_float()
        mask, rejection = find_sky(picture)
        shown = picture[0].lerp(torch.tensor(PINK).view(3, 1, 1), 0.6 * mask)
        caption = f"no: {rejection}" if rejection else "sky"
        rows.append([Tile(picture[0], path.stem), Tile(shown, caption)])
        print(f"{path.stem}: {caption}, {float(mask.mean()):.3f}")
        if arguments.maps is not None and not rejection:
            arguments.maps.mkdir(parents=True, exist_ok=True)
            map_picture = Picture.from_float((mask > 0.5).float().expand(1, 3, -1, -1))
            write_picture(map_picture, arguments.maps / f"{path.stem}.png")
    write_picture(Picture.from_float(draw_contact_sheet(rows, None)), arguments.sheet)


if __name__ == "__main__":
    main()
