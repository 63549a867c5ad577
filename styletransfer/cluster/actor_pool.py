"""A pool of Ray actors that run jobs: lost ones are replaced, and their jobs run again on others.

This module alone imports Ray. Plain actors are used and not Ray Data, because every job writes its own file:
there are no rows to move, and which job may have killed its worker has to be known.
"""

from __future__ import annotations

import contextlib
import queue
import secrets
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Event, Lock
from typing import Any, Generic, Protocol, TypeVar

import ray
from ray.exceptions import GetTimeoutError, RayError, RayTaskError

from ..errors import CancelledError, OptionError, StyleTransferError
from .style_exchange import ExchangeClient, StyleExchange

# Jobs that are sent to an actor at a time, so that it never waits for the next one.
JOBS_PER_ACTOR = 2
# A job that was running while so many of its workers died is not tried again.
MOST_DEATHS = 3
SECONDS_BETWEEN_CHECKS = 0.5  # for a stop, and for actors that have become ready
SECONDS_TO_STOP = 60.0  # a strip of the largest picture takes less
LOCAL_OBJECT_STORE_BYTES = 256 * 2**20  # jobs and their results are small

Item = TypeVar("Item", contravariant=True)
Result = TypeVar("Result", covariant=True)


class Work(Protocol[Item, Result]):
    """What an actor holds, such as a model, and does with every item."""

    def __call__(self, item: Item, /) -> Result:
        """Do one job."""

    def describe(self) -> dict[str, str]:
        """Return what is to be known about the worker, the same for all."""


BuildWork = Callable[[Event, ExchangeClient], Work[Item, Result]]


@contextmanager
def connect(address: str | None, processors: int) -> Iterator[dict[str, float]]:
    """Connect to a Ray cluster, or start one on this machine, which ends with the block.

    A connection that the calling program has opened before is used and stays open.

    Args:
        address: Address of the cluster; None starts one.
        processors: Number of processors that a cluster of this machine has.

    Yields:
        The resources of the cluster, such as {"CPU": 16, "GPU": 1}.

    Raises:
        OptionError: There is no such cluster.
    """
    if ray.is_initialized():
        yield ray.cluster_resources()
        return
    quiet: dict[str, Any] = {"logging_level": "error", "log_to_driver": False}
    try:
        if address is None:
            ray.init(
                num_cpus=processors,
                include_dashboard=False,
                object_store_memory=LOCAL_OBJECT_STORE_BYTES,
                **quiet,
            )
        else:
            ray.init(address, **quiet)
    except (ConnectionError, RayError, RuntimeError, ValueError) as error:
        hint = "start it with `ray start --head`, or leave out --address"
        where = "on this machine" if address in {None, "auto"} else f"at {address}"
        line = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise OptionError(f"no Ray cluster {where} ({line})", hint=hint) from error
    try:
        yield ray.cluster_resources()
    finally:
        ray.shutdown()


class _Worker(Generic[Item, Result]):
    """The actor. Jobs come one after the other; `stop` is heard while one runs."""

    def __init__(self) -> None:
        self._stop = Event()

    def load(self, build: BuildWork[Item, Result], exchange: Any, name: str) -> dict[str, str]:
        self._work = build(self._stop, _ExchangeCalls(exchange, name))
        return self._work.describe()

    def run(self, item: Item) -> Result:
        if self._stop.is_set():
            raise CancelledError
        return self._work(item)

    def stop(self) -> None:
        self._stop.set()


class _ExchangeCalls:
    """Calls the exchange from a worker. Where it does not answer, the worker measures for itself."""

    def __init__(self, exchange: Any, worker: str) -> None:
        self._exchange = exchange
        self._worker = worker

    def claim(self, name: str) -> bytes | None:
        with contextlib.suppress(RayError):
            measured: bytes | None = ray.get(self._exchange.claim.remote(name, self._worker))
            return measured
        return None

    def put(self, name: str, measured: bytes) -> None:
        with contextlib.suppress(RayError):
            ray.get(self._exchange.put.remote(name, measured))

    def release(self) -> None:
        with contextlib.suppress(RayError):
            ray.get(self._exchange.release.remote(self._worker))


@dataclass(eq=False)
class _Actor:
    """An actor as the pool sees it: its handle, the call that loads it, and the jobs sent to it, in order."""

    name: str
    handle: Any
    loading: Any
    sent: deque[object] = field(default_factory=deque)
    suspect: object = None  # the job that it was running when it died
    dead: bool = False


class ActorPool(Generic[Item, Result]):
    """Runs jobs on actors, from any number of threads; use it as a context manager.

    Work begins as soon as one actor is ready. Actors for which the cluster has no room yet, or whose machine
    was lost, join when there is room.

    Args:
        build: Builds what an actor holds; pickled.
        workers: Number of actors.
        processors: Processors that each reserves.
        gpus: GPUs that each reserves.
        stop: Ends all work when it is set; calls of `run` then raise a CancelledError.
        note: Receives lines about workers that were lost.
    """

    def __init__(
        self,
        build: BuildWork[Item, Result],
        workers: int,
        *,
        processors: int,
        gpus: float,
        stop: Event,
        note: Callable[[str], None],
    ) -> None:
        self._build = ray.put(build)
        self._stop = stop
        self._note = note
        # No restarts and retries by Ray: it cannot tell the job that killed a worker from those that waited.
        worker = ray.remote(concurrency_groups={"control": 1})(_Worker)
        self._class = worker.options(num_cpus=processors, num_gpus=gpus, max_restarts=0, max_task_retries=0)
        exchange = ray.remote(StyleExchange)
        self._exchange = exchange.options(num_cpus=0, max_restarts=-1, max_concurrency=100_000).remote()
        self._slots: queue.Queue[_Actor] = queue.Queue()
        self._lock = Lock()
        self._failed_starts = 0
        self._most_failed_starts = MOST_DEATHS * workers
        self._loading = [self._start() for _ in range(workers)]
        self._ready: list[_Actor] = []

    def __enter__(self) -> ActorPool[Item, Result]:
        return self

    def __exit__(self, *_: object) -> None:
        for actor in (*self._ready, *self._loading):
            ray.kill(actor.handle)
        ray.kill(self._exchange)

    def wait_until_ready(self) -> dict[str, str]:
        """Wait for the first actor and return what its work tells about itself.

        Raises:
            StyleTransferError: It could not be built, for example because the weights are missing.
        """
        patience = 120
        while True:
            done, _ = ray.wait([each.loading for each in self._loading], timeout=1)
            if done:
                break
            patience -= 1
            if not patience:
                self._note("no worker is ready; the cluster may have no room for one (see `ray status`)")
        try:
            described: dict[str, str] = ray.get(done[0])
        except RayTaskError as error:
            raise error.cause from None
        except RayError as error:
            raise StyleTransferError(
                "a worker died while it loaded the model", hint="perhaps of too little memory"
            ) from error
        self._welcome()
        return described

    def run(self, item: Item) -> Result:
        """Run one job on the next free actor, and again on another one if that dies.

        Raises:
            CancelledError: The stop event is set.
            StyleTransferError: Several workers died of it.
            Exception: What the job raised.
        """
        deaths = 0
        while deaths < MOST_DEATHS:
            actor = self._take_slot()
            job = object()
            with self._lock:  # in the order in which the actor runs them
                actor.sent.append(job)
                call = actor.handle.run.remote(item)
            try:
                result: Result = self._wait(actor, call)
            except RayTaskError as error:
                self._slots.put(actor)
                raise error.cause from None
            except RayError:
                deaths += self._bury(actor) is job
                continue
            finally:
                with self._lock:
                    if not actor.dead:
                        actor.sent.remove(job)
            self._slots.put(actor)
            return result
        raise StyleTransferError(
            f"{deaths} workers died while they computed it",
            hint="perhaps of too little memory; try --size, or fewer --workers",
        )

    def _wait(self, actor: _Actor, call: Any) -> Any:
        """Return the result of a call. After a stop, tell the actor, and give it time to end its strip."""
        while not self._stop.is_set():
            with contextlib.suppress(GetTimeoutError):
                return ray.get(call, timeout=SECONDS_BETWEEN_CHECKS)
        actor.handle.stop.options(concurrency_group="control").remote()
        try:
            return ray.get(call, timeout=SECONDS_TO_STOP)
        except GetTimeoutError as error:
            raise CancelledError from error

    def _take_slot(self) -> _Actor:
        """Return an actor that is free for a job; the caller gives it back unless it is dead."""
        while not self._stop.is_set():
            with contextlib.suppress(queue.Empty):
                actor = self._slots.get(timeout=SECONDS_BETWEEN_CHECKS)
                if not actor.dead:
                    return actor
            self._welcome()
        raise CancelledError

    def _start(self) -> _Actor:
        name = secrets.token_hex(8)
        handle = self._class.remote()
        return _Actor(name, handle, handle.load.remote(self._build, self._exchange, name))

    def _welcome(self) -> None:
        """Give jobs to the actors that have become ready, and replace those that could not be built."""
        with self._lock:
            for actor in list(self._loading):
                done, _ = ray.wait([actor.loading], timeout=0)
                if not done:
                    continue
                self._loading.remove(actor)
                try:
                    ray.get(actor.loading)
                except RayError as error:
                    cause = error.cause if isinstance(error, RayTaskError) else "it died while it started"
                    self._note(f"a worker could not start ({cause})")
                    self._failed_starts += 1
                    if self._failed_starts > self._most_failed_starts:
                        raise StyleTransferError("too many workers could not start") from error
                    self._loading.append(self._start())
                    continue
                self._ready.append(actor)
                for _ in range(JOBS_PER_ACTOR):
                    self._slots.put(actor)

    def _bury(self, actor: _Actor) -> object:
        """Replace an actor that has died, if that is not yet done, and return the job that it was running."""
        with self._lock:
            if not actor.dead:
                actor.dead = True
                actor.suspect = actor.sent[0]
                self._ready.remove(actor)
                ray.kill(actor.handle)  # it may only be out of reach
                self._exchange.release.remote(actor.name)
                self._loading.append(self._start())
                self._note("a worker was lost; its jobs run again on others")
            return actor.suspect


def choose_workers(
    resources: dict[str, float], jobs: int, *, workers: int | None, processors: int, gpus: float
) -> int:
    """Return how many workers to start: as many as asked for or as there is room for, at most one per job."""
    room = resources.get("CPU", 0) // processors
    if gpus:
        room = min(room, resources.get("GPU", 0) // gpus)
    return max(1, min(jobs, workers or int(room)))
