"""Times that other work on the machine hardly disturbs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from statistics import median
from time import process_time


def compare(tasks: Mapping[str, Callable[[], object]], repetitions: int) -> dict[str, float]:
    """Return the median CPU time of every task in milliseconds.

    Tasks take turns, so that whatever slows the machine for a while slows them all; CPU time of this process
    leaves out the time that others were given.
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
