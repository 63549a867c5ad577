"""End-to-end training of networks through their feature transforms."""

from .data import PicturePool, TrainingPairs
from .distributed import Processes, join_processes, leave_processes
from .initialization import build_autoencoder, build_network
from .trainer import Trainer, TrainingReport, check_folder
from .transfer_loss import LossTerms, TransferLoss

__all__ = [
    "LossTerms",
    "PicturePool",
    "Processes",
    "Trainer",
    "TrainingPairs",
    "TrainingReport",
    "TransferLoss",
    "build_autoencoder",
    "build_network",
    "check_folder",
    "join_processes",
    "leave_processes",
]
