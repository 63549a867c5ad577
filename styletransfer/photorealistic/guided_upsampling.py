"""Apply what a small copy shows to the full picture: local affine functions of its colors, upsampled.

The result has all detail of the picture, because only the functions are upsampled and they are smooth.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..pipeline import ProgressCallback
from ..pipeline.resampling import WHITE, average_blocks, upsample_strips, white_level
from ..pipeline.streamed_maps import Observer
from ..transfer.local_affine import average_windows, fit_local_affine

# The copy is averaged over blocks of this many pixels once more, because the functions are smooth. Then come
# the windows in which a function is fitted, and the ridge that keeps flat windows flat.
FIT_STEP, RADIUS, RIDGE = 2, 4, 1e-4
STRIP_ROWS = 128


def fit_functions(content: Tensor, result: Tensor) -> Tensor:
    """Fit the functions of a small copy, strip by strip.

    Args:
        content: The copy, [3, h, w] in 0..1.
        result: What the network made of it, [3, h, w].

    Returns:
        [12, ceil(h / FIT_STEP), ceil(w / FIT_STEP)], see `average_windows`.

    Source: He and Sun 2015 (arXiv 1505.00996), fast guided filter: the coefficients of a reduced picture.
    """
    content, result = average_blocks(content, FIT_STEP), average_blocks(result, FIT_STEP)
    height = content.shape[1]
    functions = content.new_empty(12, *content.shape[1:])
    for top in range(0, height, STRIP_ROWS):
        bottom = min(top + STRIP_ROWS, height)
        first = max(0, top - 2 * RADIUS)  # windows of windows
        part = slice(first, bottom + 2 * RADIUS)
        model = fit_local_affine(content[None, :, part], result[None, :, part], RADIUS, RIDGE)
        functions[:, top:bottom] = average_windows(model, RADIUS)[0, :, top - first : bottom - first]
    return functions


def apply_functions(
    samples: Tensor, functions: Tensor, factor: int, emit: Observer, progress: ProgressCallback
) -> None:
    """Apply the functions of a small copy to the full picture.

    Args:
        samples: The picture, [3, H, W], uint8, uint16 or float in 0..1.
        functions: [12, ceil(H / factor), ceil(W / factor)].
        factor: Factor by which the map of functions is smaller.
        emit: Receives the index of the first row and a strip [3, h, W] in 0..255.
        progress: Called after every strip.
    """
    height, width = samples.shape[1:]
    for rows, strip in upsample_strips(functions, factor):
        part = strip[:, : height - rows.start, :width]
        colors = samples[:, rows].to(part.device).float() / white_level(samples)
        moved = torch.einsum("ijhw,jhw->ihw", part[:9].reshape(3, 3, *part.shape[1:]), colors) + part[9:]
        emit(rows.start, moved * WHITE)
        progress(min(rows.stop, height) / height)
