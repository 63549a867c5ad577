"""Timing that other processes on the machine disturb as little as possible."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from statistics import median
from time import process_time


def compare(tasks: Mapping[str, Callable[[], object]], repetitions: int) -> dict[str, float]:
    """Return the median CPU time of every task in milliseconds.

    The tasks take turns, so that a slow phase of the machine affects all of them. CPU time does not include
    the time in which other processes ran.

    Args:
        tasks: Functions to time, by name. Each is called once before the first measurement.
        repetitions: Number of measurements per task.
    """
    times: dict[str, list[float]] = {name: [] for name in tasks}
    for task in tasks.values():
        task()
    for _ in range(repetitions):
        for name, task in tasks.items():
            start = process_time()
            task()
            times[name].append(1000 * (process_time() - start))
    return {name: median(values) for name, values in times.items()}
