"""Which machines compute, and with how many workers: `ClusterOptions`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from ..errors import OptionError
from .checks import check_choice, check_integer, check_kind, check_range, option

EngineName = Literal["local", "ray"]


@dataclass(frozen=True, kw_only=True)
class ClusterOptions:
    """Options of runs on several machines.

    None means: `address` starts Ray on this machine; `workers` are as many as the processors or the GPUs
    allow; `gpus_per_worker` is one where the cluster has GPUs and the device is not the processor.

    Raises:
        OptionError: A value is of the wrong type or out of its range, or belongs to another engine.
    """

    engine: EngineName = option(
        "local", "What runs the jobs: threads of this process, or workers of a Ray cluster."
    )
    address: str | None = option(
        None, "Ray cluster to use: auto for the one of this machine, HOST:PORT, or ray://HOST:PORT."
    )
    workers: int | None = option(
        None, "Number of Ray workers, each with a model and --threads processors (1 for auto)."
    )
    gpus_per_worker: float | None = option(
        None, "GPUs that each Ray worker reserves. With 0.5 two of them share one; 0 uses the processor."
    )

    def __post_init__(self) -> None:
        check_choice("engine", self.engine, EngineName)
        if self.address is not None:
            check_kind("address", self.address, (str,), "give auto, HOST:PORT or ray://HOST:PORT")
            if not re.fullmatch(r"auto|(ray://)?[^/\s]+:\d+", self.address):
                hint = "give auto, HOST:PORT or ray://HOST:PORT"
                raise OptionError(f"the address is {self.address!r}", hint=hint)
        if self.workers is not None:
            check_integer("workers", self.workers, 1, 100_000)
        if self.gpus_per_worker is not None:
            check_range("gpus_per_worker", self.gpus_per_worker, 0, 64)
            if self.gpus_per_worker > 1 and self.gpus_per_worker % 1:
                raise OptionError(
                    f"gpus_per_worker is {self.gpus_per_worker:g}", hint="above 1 it is a whole number"
                )

    def check_engine(self) -> None:
        """Refuse options that the chosen engine does not have.

        Raises:
            OptionError: One of them is given.
        """
        for name in ("address", "workers", "gpus_per_worker"):
            if self.engine == "local" and getattr(self, name) is not None:
                raise OptionError(f"--{name.replace('_', '-')} is for Ray alone", hint="add --engine ray")
