"""End-to-end training of the autoencoder through its feature transforms."""

from .data import PicturePool, TrainingPairs
from .distributed import Processes, join_processes, leave_processes
from .initialization import build_network
from .losses import LossTerms, TransferLoss
from .trainer import Trainer, TrainingReport, check_folder

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
