"""Make the perceptual network that ships: `python weights/perceptual.py VGG19.safetensors`.

The file must hold conv1_1 to conv3_4 of the Oxford VGG-19 under torchvision's names (features.0.weight, ...).
They are rounded to float16 and written to weights/vgg19.safetensors. Copy the SHA-256 that is printed to
`SHIPPED_SHA256` in styletransfer/model/vgg.py. License and attribution are in weights/VGG19-LICENSE.md.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch

from styletransfer.files import compute_sha256, read_tensors, write_tensors
from styletransfer.model.vgg import SHIPPED, SHIPPED_DEPTH, TORCHVISION_KEYS, needed_convolutions

DESCRIPTION = (
    "VGG-19, conv1_1 to conv3_4, by Karen Simonyan and Andrew Zisserman (Visual Geometry Group, University "
    "of Oxford), CC BY 4.0; rounded to float16. Input: BGR in 0..255 minus (103.939, 116.779, 123.68)."
)


def round_network(source: Path, target: Path) -> None:
    """Round the convolutions of a VGG-19 to float16 and write them.

    Raises:
        OverflowError: A weight is too large for float16.
        WeightsError: The source cannot be read.
    """
    tensors = read_tensors(source).tensors
    rounded: dict[str, torch.Tensor] = {}
    for convolution in needed_convolutions([f"relu{SHIPPED_DEPTH}"]):
        for kind in ("weight", "bias"):
            key = f"{TORCHVISION_KEYS[convolution.name]}.{kind}"
            rounded[key] = tensors[key].to(torch.float16)
            if not rounded[key].isfinite().all():
                raise OverflowError(f"{key} is too large for float16")
    # A single entry, because the order of several in the header is not fixed.
    write_tensors(target, rounded, {"description": DESCRIPTION})


if __name__ == "__main__":
    output = Path(__file__).with_name(SHIPPED)
    round_network(Path(sys.argv[1]), output)
    print(output, output.stat().st_size, compute_sha256(output))
