"""Train the network end to end through its transfers: data, losses, loop, checkpoints."""

from .beginnings import build_network
from .data import PicturePool, TrainingPairs
from .loop import Trainer, TrainingReport, check_folder
from .losses import LossTerms, TransferLoss
from .processes import Processes, join_processes, leave_processes

__all__ = [
    "LossTerms",
    "PicturePool",
    "Processes",
    "Trainer",
    "TrainingPairs",
    "TrainingReport",
    "TransferLoss",
    "build_network",
    "check_folder",
    "join_processes",
    "leave_processes",
]
