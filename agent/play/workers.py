"""Runs jobs beside each other: in processes of this machine, or in actors of a Ray cluster."""

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

MOST_LOSSES = 3  # workers that one job may take with it


class Job(NamedTuple):
    """One thing for a worker to do, and where its result goes."""

    run: Callable[..., Any]
    arguments: tuple[Any, ...]
    keep: Callable[[Any], None]


class Workers(Protocol):
    """A context manager with several workers."""

    def __enter__(self) -> Self: ...
    def __exit__(self, *ended: object) -> None: ...

    def results(self, jobs: Sequence[Job]) -> Iterator[tuple[Job, Any]]:
        """Each job with its result, as they come; each is done once, however many workers are lost.

        Raises:
            SettingsError: the workers are killed again and again.
        """


def workers(count: int, ray: str | None) -> AbstractContextManager[Workers]:
    """So many workers: processes, or actors of the Ray cluster at `ray`; "local" starts one here."""
    return RayWorkers(count, ray) if ray else ProcessWorkers(count)


def run_jobs(
    pool: Workers, jobs: Sequence[Job], on_progress: Callable[[int, int], None] = lambda done, total: None
) -> None:
    """Runs the jobs and keeps each result as it comes."""
    for done, (job, result) in enumerate(pool.results(jobs), start=1):
        job.keep(result)
        on_progress(done, len(jobs))


class ProcessWorkers:
    """Processes of this machine, which end with the process that owns them."""

    def __init__(self, count: int) -> None:
        context = get_context("forkserver")
        context.set_forkserver_preload(["agent.play.assembly"])  # imported once, for all workers
        self._pool = ProcessPoolExecutor(count, context, initializer=_start_process, initargs=(limits(),))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(cancel_futures=True)

    def results(self, jobs: Sequence[Job]) -> Iterator[tuple[Job, Any]]:
        """As `Workers`; a process that is killed ends them all."""
        try:
            running = {self._pool.submit(job.run, *job.arguments): job for job in jobs}
            for future in as_completed(running):
                yield running[future], future.result()
        except BrokenProcessPool:
            raise SettingsError(
                "a worker was killed, out of memory? – the same command with fewer --jobs goes on"
            ) from None


def _start_process(bounds: InputLimits) -> None:
    """In a worker: the owner's bounds hold; Ctrl+C and the end of the owner end it without a word."""
    set_limits(bounds)
    signal.signal(signal.SIGINT, lambda *_: sys.exit(130))
    threading.Thread(target=_await_owner, daemon=True, name="owner").start()


def _await_owner() -> None:
    owner = parent_process()
    if owner is not None:
        wait([owner.sentinel])
        os._exit(130)


class RayWorkers:
    """Actors of a Ray cluster; each has one job at a time, and a lost one's job is done again by another."""

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
        """As `Workers`; no actor gets a job before it runs, so that no job waits for a lost machine."""
        ray = self._ray
        waiting, losses = deque(range(len(jobs))), Counter[int]()
        actors: dict[Any, tuple[Any, int | None]] = {}  # {what is awaited: (actor, its job)}

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
                            " – the same command goes on"
                        ) from None
                continue
            if waiting:
                following = waiting.popleft()
                job = jobs[following]
                actors[actor.run.remote(job.run, *job.arguments)] = (actor, following)
            if number is not None:
                yield jobs[number], result


def _look_for(address: str) -> None:
    """Raises OSError where nobody listens; Ray itself would look for minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if host:
        socket.create_connection((host, int(port)), timeout=10).close()


class _Actor:
    """In a worker: does one job after the other."""

    def __init__(self, bounds: InputLimits) -> None:
        set_limits(bounds)

    def ready(self) -> None:
        """Answers once it runs."""

    def run(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Does a job."""
        return function(*arguments)
