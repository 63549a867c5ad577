"""Give a model that matches no patches the keys for it.

    python weights/add_matching.py MODEL NEW.safetensors --style ARTWORKS

ARTWORKS is a folder or tar archive, as for training. The keys of a scale are the leading principal components
of the 3 x 3 patches of its whitened maps, over many artworks, so that a patch is compared by a ninth of its
numbers or less (docs/matching.md). The new model stylizes as the old one does with
`--match 0`; it has to be trained further, because the old decoder has never seen matched patches.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from torch import Tensor

from styletransfer.model import Autoencoder, load_model, measure_levels, save_model
from styletransfer.training.data import PicturePool, crop_randomly
from styletransfer.training.initialization import with_matching

PICTURES, CROP = 60, 256
KEY_WIDTH = 128


@torch.no_grad()
def add_matching(model: Autoencoder, styles: Tensor) -> Autoencoder:
    """Return a network with the same weights that matches patches at its three coarsest scales.

    Args:
        model: The network.
        styles: Pictures [B, 3, H, W] in 0..1.
    """
    architecture = with_matching(model.architecture, KEY_WIDTH)
    matching = Autoencoder(architecture)
    matching.load_state_dict(model.state_dict(), strict=False)
    features = matching.encode(styles)
    banks = matching.decoder.collect_patches(features, measure_levels(features))
    for scale in architecture.key_scales:
        patches = torch.cat([bank.pieces[scale] for bank in banks]).double()  # [N, 9 * C]
        _, axes = torch.linalg.eigh(patches.T @ patches)
        leading = axes[:, -KEY_WIDTH:].T.view(KEY_WIDTH, 3, 3, -1).permute(0, 3, 1, 2)
        matching.decoder.key_weight(scale).copy_(leading)
    return matching


def main() -> None:
    """Add the keys to a model file and write a new file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("model", help="Name of the model or weights file to read.")
    parser.add_argument("new", type=Path, help="Weights file to write.")
    parser.add_argument("--style", type=Path, required=True, help="Folder or tar archive of artworks.")
    arguments = parser.parse_args()
    pool, generator = PicturePool(arguments.style), torch.Generator().manual_seed(0)
    crops = [crop_randomly(pool.draw(generator)[0].as_style(), CROP, generator) for _ in range(PICTURES)]
    loaded = load_model(arguments.model)
    save_model(add_matching(loaded.network, torch.stack(crops)), arguments.new, loaded.provenance)


if __name__ == "__main__":
    main()
