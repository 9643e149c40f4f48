"""Runs jobs in parallel: in processes on this machine, or in actors of a Ray cluster."""

import logging
import os
import signal
import socket
import sys
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import AbstractContextManager
from multiprocessing import get_context, parent_process
from multiprocessing.connection import wait
from typing import Any, NamedTuple, Protocol, Self

from data.errors import SettingsError
from data.extras import needs
from data.limits import InputLimits, limits, set_limits

MOST_LOSSES = 3  # workers that may be lost over one job


class Job(NamedTuple):
    """A job for a worker, and what to do with its result."""

    run: Callable[..., Any]
    arguments: tuple[Any, ...]
    keep: Callable[[Any], None]


class WorkerPool(Protocol):
    """Several workers, as a context manager."""

    def __enter__(self) -> Self: ...
    def __exit__(self, *ended: object) -> None: ...

    def results(self, jobs: Sequence[Job]) -> Iterator[tuple[Job, Any]]:
        """Yields each job with its result, once, as soon as it is done.

        Raises:
            SettingsError: workers are killed repeatedly.
        """


def worker_pool(count: int, ray: str | None) -> AbstractContextManager[WorkerPool]:
    """Starts workers: processes, or actors of the Ray cluster at `ray`; "local" starts a cluster here."""
    return RayWorkers(count, ray) if ray else ProcessWorkers(count)


def run_jobs(
    pool: WorkerPool, jobs: Sequence[Job], on_progress: Callable[[int, int], None] = lambda done, total: None
) -> None:
    """Runs the jobs and saves each result at once."""
    for done, (job, result) in enumerate(pool.results(jobs), start=1):
        job.keep(result)
        on_progress(done, len(jobs))


class ProcessWorkers:
    """Processes on this machine; they end when their owner ends."""

    def __init__(self, count: int) -> None:
        context = get_context("forkserver")
        context.set_forkserver_preload(["agent.play.assembly"])  # imported once, for all workers
        self._pool = ProcessPoolExecutor(count, context, initializer=_start_process, initargs=(limits(),))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(cancel_futures=True)

    def results(self, jobs: Sequence[Job]) -> Iterator[tuple[Job, Any]]:
        """As `WorkerPool`; if a process is killed, all end."""
        try:
            running = {self._pool.submit(job.run, *job.arguments): job for job in jobs}
            for future in as_completed(running):
                yield running[future], future.result()
        except BrokenProcessPool:
            raise SettingsError(
                "a worker was killed, out of memory? – repeat the command with fewer --jobs"
            ) from None


def _start_process(bounds: InputLimits) -> None:
    """Sets up a worker: with the owner's limits, and ending silently on Ctrl+C or when the owner ends."""
    set_limits(bounds)
    signal.signal(signal.SIGINT, lambda *_: sys.exit(130))
    threading.Thread(target=_await_owner, daemon=True, name="owner").start()


def _await_owner() -> None:
    owner = parent_process()
    if owner is not None:
        wait([owner.sentinel])
        os._exit(130)


class RayWorkers:
    """Actors of a Ray cluster, each with one job at a time; the job of a lost actor is done again."""

    def __init__(self, count: int, address: str) -> None:
        with needs("ray"):
            import ray
        self._ray, self._count = ray, count
        cpus = count if address == "local" else None
        try:
            _look_for(address)
            ray.init(
                address,
                num_cpus=cpus,
                include_dashboard=False,
                log_to_driver=False,
                logging_level=logging.ERROR,
            )
        except (OSError, ValueError, RuntimeError) as error:
            said = " ".join(str(error).split())[:200]
            raise SettingsError(f"--ray {address}: no Ray cluster there ({said})") from None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._ray.shutdown()

    def results(self, jobs: Sequence[Job]) -> Iterator[tuple[Job, Any]]:
        """As `WorkerPool`; actors get a job once they run, so that no job waits for a lost machine."""
        ray = self._ray
        waiting, losses = deque(range(len(jobs))), Counter[int]()
        actors: dict[Any, tuple[Any, int | None]] = {}  # by the pending call; None: starting

        def hire() -> None:
            actor = ray.remote(num_cpus=1)(_Actor).remote(limits())
            actors[actor.ready.remote()] = (actor, None)

        for _ in range(min(self._count, len(jobs))):
            hire()
        while waiting or any(number is not None for _, number in actors.values()):
            [done], _ = ray.wait(list(actors), num_returns=1)
            actor, number = actors.pop(done)
            try:
                result = ray.get(done)
            except ray.exceptions.RayTaskError as failed:
                raise failed.cause from None
            except ray.exceptions.RayError:
                hire()
                if number is not None:
                    waiting.appendleft(number)
                    losses[number] += 1
                    if losses[number] == MOST_LOSSES:
                        raise SettingsError(
                            f"{MOST_LOSSES} workers were lost over one job, out of memory?"
                            " – repeat the command to continue"
                        ) from None
                continue
            if waiting:
                following = waiting.popleft()
                job = jobs[following]
                actors[actor.run.remote(job.run, *job.arguments)] = (actor, following)
            if number is not None:
                yield jobs[number], result


def _look_for(address: str) -> None:
    """Raises OSError if nothing listens there; Ray itself would retry for minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if host:
        socket.create_connection((host, int(port)), timeout=10).close()


class _Actor:
    """Runs jobs in a worker, one at a time."""

    def __init__(self, bounds: InputLimits) -> None:
        set_limits(bounds)

    def ready(self) -> None:
        """Returns once the actor runs."""

    def run(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Runs a job."""
        return function(*arguments)
