"""Train the network end to end through its transfers: data, losses, loop, checkpoints."""

from .data import PicturePool, TrainingPairs
from .losses import LossTerms, TransferLoss
from .loop import Trainer, TrainingReport

__all__ = ["LossTerms", "PicturePool", "Trainer", "TrainingPairs", "TrainingReport", "TransferLoss"]
