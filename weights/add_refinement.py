"""Give a model one more refinement, which begins by painting as its painter does.

    python weights/add_refinement.py MODEL NEW.safetensors

The features of what has been painted are added with the weights (skips) that the content's have. What is
written paints better at once, and is to be trained on.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import torch

from styletransfer.model import Autoencoder, load_model, save_model
from styletransfer.model.autoencoder import Refinement


@torch.no_grad()
def add_refinement(model: Autoencoder) -> Autoencoder:
    """Return a network with the same weights and one refinement more."""
    shape = model.architecture
    refined = Autoencoder(replace(shape, refinements=shape.refinements + 1))
    missing, unexpected = refined.load_state_dict(model.state_dict(), strict=False)
    assert not unexpected
    assert all(name.startswith("decoder.refinements.") for name in missing)
    added = refined.decoder.refinements[-1]
    assert isinstance(added, Refinement)
    added.convolutions.load_state_dict(model.decoder.scales[0].state_dict())
    added.skip.copy_(model.decoder.skips[0])
    return refined


def main() -> None:
    """Read a model, write another."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("new", type=Path)
    given = parser.parse_args()
    save_model(add_refinement(load_model(given.model)), given.new)


if __name__ == "__main__":
    main()
