"""The photorealistic model beside plain transfers of color, on twenty pairs of photographs that it never saw.

    python -m benchmarks.photo PHOTOS [--model NAME|FILE ...] [--size 512] [--sheet FILE.png]
    python -m benchmarks.photo PHOTOS --alpha 1,0.8,0.6,0.4 --scores-only

The second command shows what structure costs in style: it only scores results, at several strengths. Means
are over all pairs, and in a second table over those of which transport of RGB at full strength keeps an SSIM
of .75. The others ask for quite another exposure, which SSIM counts as lost structure.

PHOTOS is a folder with the photographs that `weights/held_out.txt` lists. The table has the means of

* style_gram and swd_rgb: distances from the style, of features and of colors;
* tone: SSIM after the result's luma was fitted to the content's, which is structure without exposure;
* E1 and E10: what affine functions of the content leave of the result in windows of 3 and of 21 pixels, in
  thousandths of its variance; halos show in the second;
* clipped: share of values at the ends of the range;
* halo: largest deviation 1 to 24 pixels beside a step between two of the content's colors, relative to it;
* noise: how much stronger noise of 2/255 comes out; both with the maps of the pair;
* pattern: root mean square, in 1/255, of what a smooth ramp of colors gets that its 5 x 5 mean has not;
* pan: mean absolute difference, in 1/10000, of two views of the content that are 3 and 1 pixels apart;
* flicker: root mean square difference of such views with noise of 2/255 each, each with statistics of its
  own; that of the content itself is .0111;
* seconds of processor time at that size.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from resource import RUSAGE_SELF, getrusage

import torch
import torch.nn.functional as F
from torch import Tensor

from styletransfer import Stylizer
from styletransfer.evaluation import PerceptualFeatures, clipped, extract_features, ssim, style_gram, swd_rgb
from styletransfer.linalg import compute_statistics, transfer_map
from styletransfer.media import Picture, read_picture, resize_picture, write_picture
from styletransfer.media.contact_sheet import Tile, draw_contact_sheet
from styletransfer.model import CouplingNetwork, load_model
from styletransfer.model.coupling_network import measure_features
from styletransfer.model.vgg import VGG19, load_vgg19
from styletransfer.training.photorealistic_loss import structure_distance
from styletransfer.transfer.local_affine import matting_energy
from styletransfer.transfer.monge_map import bounded_monge_map

# Content and style: day and dusk, day and night, river, town, interior, portrait, flower and insect.
PAIRS = [
    *((152, 168), (168, 152), (152, 200), (200, 168), (232, 152), (152, 232), (168, 232), (232, 168)),
    *((40, 200), (120, 40), (216, 232), (88, 216), (184, 264), (264, 184), (248, 200), (136, 312)),
    *((24, 280), (280, 24), (72, 296), (104, 72)),
]
EXAMPLES = Path(__file__).parents[1] / "examples" / "content"
NOISE = 2 / 255
STEP_SIZE, STEP_RANGE = 96, slice(1, 25)
RAMP_SIZE = 256
SCORES = 7  # columns that need only the result
COLUMNS = (
    *("style_gram", "tone", "ssim", "swd_rgb", "E1", "E10", "clipped"),
    *("halo", "noise", "pattern", "pan", "flicker", "s"),
)
UNCHANGED = [0.0, 1.0, 0.0, 0.0, 0.0]  # halo to flicker of the content itself
KEPT_SSIM = 0.75
SHIFT = 1, 3  # pixels down and to the right

# A function from pictures to pictures that belongs to one pair, and its result on the content.
PairMap = Callable[[Tensor], Tensor]


def map_colors(content: Tensor, style: Tensor, *, bounded: bool, alpha: float = 1.0) -> PairMap:
    own, target = (compute_statistics(each.flatten(2)) for each in (content, style))
    if bounded:
        matrix, offset = bounded_monge_map(own, target, alpha)
    else:
        matrix, offset = transfer_map(own, target, eps=1e-3, alpha=alpha, method="monge")
    matrix, offset = matrix[0].float(), offset[0].float()
    return lambda pictures: torch.einsum("ij,bjhw->bihw", matrix, pictures) + offset.view(3, 1, 1)


def map_features(network: CouplingNetwork, content: Tensor, style: Tensor, alpha: float = 1.0) -> PairMap:
    own, target = (measure_features(network.encode(each)) for each in (content, style))
    matrix, offset = (part[0].float() for part in bounded_monge_map(own, target, alpha))

    def apply(pictures: Tensor) -> Tensor:
        moved = torch.einsum("ij,bjhw->bihw", matrix, network.encode(pictures)) + offset.view(-1, 1, 1)
        return network.decode(moved)[0]

    return apply


def measure_halo(apply: PairMap, content: Tensor) -> float:
    """Return the largest deviation beside a step between two colors of the content, relative to it."""
    step = torch.cat(
        [end.view(1, 3, 1, 1).expand(1, 3, STEP_SIZE, STEP_SIZE) for end in find_ends(content)], 3
    ).contiguous()
    result = apply(step)[0].mean(0)[STEP_SIZE // 2]
    flat = result[8], result[-8]
    left, right = result[:STEP_SIZE].flip(0)[STEP_RANGE], result[STEP_SIZE:][STEP_RANGE]
    deviation = max((left - flat[0]).abs().max(), (right - flat[1]).abs().max())
    return float(deviation / (flat[1] - flat[0]).abs().clamp_min(0.05))


def find_ends(content: Tensor) -> list[Tensor]:
    """Return the colors [3] of the content at the tenths of its luma that are darkest and brightest."""
    luma = content.mean(1).flatten()
    return [content.flatten(2)[0, :, luma.argsort()[int(share * (len(luma) - 1))]] for share in (0.1, 0.9)]


def measure_pattern(apply: PairMap, content: Tensor) -> float:
    """Return what a smooth ramp between two colors of the content gets that its 5 x 5 mean has not."""
    dark, bright = (end.view(1, 3, 1, 1) for end in find_ends(content))
    steps = torch.linspace(0, 0.5, RAMP_SIZE)
    result = apply(dark.lerp(bright, (steps[:, None] + steps).expand(1, 3, -1, -1)))
    return 255 * float((result - F.avg_pool2d(result, 5, 1, 2))[..., 8:-8, 8:-8].square().mean().sqrt())


def shifted_views(content: Tensor) -> tuple[Tensor, Tensor]:
    """Return two views of a content, the second `SHIFT` pixels below and to the right of the first."""
    down, right = SHIFT
    return content[..., :-down, :-right], content[..., down:, right:]


def align_views(first: Tensor, second: Tensor) -> Tensor:
    """Return the difference of what two views share."""
    down, right = SHIFT
    return first[..., down:, right:] - second[..., :-down, :-right]


def measure_pan(apply: PairMap, content: Tensor) -> float:
    """Return the mean absolute difference of two views, with the same maps."""
    return 1e4 * float(align_views(*map(apply, shifted_views(content))).abs().mean())


def measure_flicker(find_map: Callable[[Tensor], PairMap], content: Tensor) -> float:
    """Return the difference of two noisy views, each with statistics of its own."""
    generator = torch.Generator().manual_seed(0)
    noisy = [view + NOISE * torch.randn(view.shape, generator=generator) for view in shifted_views(content)]
    return float(align_views(*(find_map(view)(view) for view in noisy)).square().mean().sqrt())


def measure_noise(apply: PairMap, content: Tensor) -> float:
    """Return the gain on noise."""
    noise = NOISE * torch.randn(content.shape, generator=torch.Generator().manual_seed(0))
    return float((apply(content + noise) - apply(content)).std() / NOISE)


def score(
    result: Tensor, content: Tensor, style: Tensor, perceptual: VGG19, style_features: PerceptualFeatures
) -> list[float]:
    variance = float(result.var())
    return [
        style_gram(extract_features(perceptual, result), style_features),
        float(1 - structure_distance(result, content)),
        ssim(result, content),
        swd_rgb(result, style),
        1e3 * float(matting_energy(content, result, 1)) / variance,
        1e3 * float(matting_energy(content, result, 10)) / variance,
        clipped(result),
    ]


def print_times(model: str, width: int, height: int) -> None:
    """Print processor seconds of three runs, and the peak of memory above the loaded program."""
    stylizer = Stylizer(model, device="cpu")
    style = stylizer.measure_style(EXAMPLES / "rocket.jpg", exact=False)
    before = getrusage(RUSAGE_SELF).ru_maxrss
    floats = read_picture(EXAMPLES / "china.jpg").to_float()
    floats = floats.view(1, 3, *floats.shape[-2:])
    content = Picture.from_float(F.interpolate(floats, (height, width), mode="bicubic").clamp(0, 1))
    del floats
    for _ in range(3):
        start = time.process_time()
        stylizer.stylize(content, style)
        print(f"{time.process_time() - start:.2f} s")
    print(f"{(getrusage(RUSAGE_SELF).ru_maxrss - before) // 1024} MiB above the loaded program")


def score_pair(
    content: Picture,
    style: Picture,
    perceptual: VGG19,
    stylizers: dict[str, Stylizer],
    networks: dict[str, CouplingNetwork],
    arguments: argparse.Namespace,
) -> tuple[dict[str, Tensor], dict[str, list[float]], bool]:
    """Return the results of a pair, their scores, and whether transport of RGB keeps its structure."""
    c, s = content.to_float(), style.to_float()
    style_features = extract_features(perceptual, s)
    finders: dict[str, Callable[..., PairMap]] = {
        "RGB, Monge": partial(map_colors, style=s, bounded=False),
        "RGB, Monge, gains up to 3": partial(map_colors, style=s, bounded=True),
    }
    for name, network in networks.items():
        finders[name] = partial(map_features, network, style=s)
    keeps_structure = ssim(finders["RGB, Monge"](c)(c).clamp(0, 1), c) >= KEPT_SSIM
    results = {"content itself": c}
    scores = {"content itself": [*score(c, c, s, perceptual, style_features), *UNCHANGED, 0.0]}
    for alpha in arguments.alpha:
        for method in dict.fromkeys([*finders, *stylizers]):
            name = method if len(arguments.alpha) == 1 else f"{method}, alpha {alpha:g}"
            find = partial(finders[method], alpha=alpha) if method in finders else None
            start = time.process_time()
            if method in stylizers:
                results[name] = stylizers[method].stylize(content, style, alpha=alpha).to_float()
            else:
                assert find is not None
                results[name] = find(c)(c).clamp(0, 1)
            seconds = time.process_time() - start
            extra = UNCHANGED
            if find is not None and not arguments.scores_only:
                measures = measure_halo, measure_noise, measure_pattern, measure_pan
                extra = [*(measure(find(c), c) for measure in measures), measure_flicker(find, c)]
            values = score(results[name], c, s, perceptual, style_features)
            scores[name] = [*values, *extra, seconds]
    return results, scores, keeps_structure


def print_means(rows: dict[str, list[list[float]]], columns: tuple[str, ...]) -> None:
    print(f"| | {' | '.join(columns)} |")
    print("|" + (1 + len(columns)) * "---|")
    for name, scores in rows.items():
        means = torch.tensor(scores).mean(0).tolist()[: len(columns)]
        print(f"| {name} | " + " | ".join(f"{value:.4f}" for value in means) + " |")


@torch.no_grad()
def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("photos", type=Path, nargs="?")
    parser.add_argument("--times", metavar="WxH", help="only the time and the memory of one enlarged example")
    parser.add_argument("--model", nargs="+", default=["photo"])
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--alpha", type=lambda text: [float(part) for part in text.split(",")], default=[1.0])
    parser.add_argument("--pairs", type=int, default=len(PAIRS))
    parser.add_argument("--artistic", action="store_true", help="also the artistic model")
    parser.add_argument("--scores-only", action="store_true", help="no halo, noise, pattern, pan, flicker")
    parser.add_argument("--sheet", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.times:
        print_times(arguments.model[0], *map(int, arguments.times.split("x")))
        return
    if arguments.photos is None:
        parser.error("PHOTOS is missing")
    perceptual = load_vgg19(None)
    stylizers = {name: Stylizer(name, device="cpu") for name in arguments.model}
    networks = {}
    for name in arguments.model:
        network = load_model(name).network
        assert isinstance(network, CouplingNetwork)
        networks[name] = network
    if arguments.artistic:
        stylizers["artistic"] = Stylizer("default", device="cpu")
    rows: dict[str, list[list[float]]] = {}
    kept_rows: dict[str, list[list[float]]] = {}
    sheet: list[list[Tile]] = []
    errors = []
    for numbers in PAIRS[: arguments.pairs]:
        content, style = (
            resize_picture(read_picture(arguments.photos / f"photos2_{number:04d}.jpg"), arguments.size)
            for number in numbers
        )
        results, scores, keeps_structure = score_pair(
            content, style, perceptual, stylizers, networks, arguments
        )
        for name, values in scores.items():
            rows.setdefault(name, []).append(values)
            if keeps_structure:
                kept_rows.setdefault(name, []).append(values)
        c = content.to_float()
        for network in networks.values():
            decoded = network.decode(network.encode(c))[0]
            errors.append(float((decoded - c).square().mean().clamp_min(1e-16).log10() * -10))
        shown = {
            "content": c,
            "style": style.to_float(),
            **{each: results[each] for each in list(results)[1:]},
        }
        sheet.append([Tile(picture[0], name) for name, picture in shown.items()])
    columns = COLUMNS[:SCORES] if arguments.scores_only else COLUMNS
    print_means(rows, columns)
    if kept_rows:
        print(f"\nthe {len(next(iter(kept_rows.values())))} pairs of which RGB keeps its SSIM:\n")
        print_means(kept_rows, columns[:SCORES])
    print(f"decode(encode(content)): {min(errors):.0f} dB at least")
    if arguments.sheet is not None:
        write_picture(Picture.from_float(draw_contact_sheet(sheet, None)), arguments.sheet)


if __name__ == "__main__":
    main()
