"""Runs jobs one by one, in processes on this machine, or in actors of a Ray cluster."""

import logging
import os
import signal
import socket
import sys
import threading
from abc import ABC, abstractmethod
from collections import Counter, deque
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import AbstractContextManager, ExitStack, redirect_stdout
from multiprocessing import connection, get_context, parent_process
from pathlib import Path
from typing import Any, NamedTuple, Self

from data.errors import SettingsError
from data.extras import needs
from data.limits import InputLimits, limits, set_limits

_log = logging.getLogger(__name__)
_MOST_LOSSES = 3  # workers that may be lost over one job


class Job(NamedTuple):
    """A job for a worker, and what to do with its result."""

    run: Callable[..., Any]
    arguments: tuple[Any, ...]
    keep: Callable[[Any], None]


def worker_pool(count: int, ray: str | None) -> AbstractContextManager["WorkerPool"]:
    """Starts workers: processes, or actors of the Ray cluster at `ray`; "local" starts a cluster here.

    A single worker without Ray is this process itself.
    """
    if ray:
        return _RayWorkers(count, ray)
    return _Processes(count) if count > 1 else WorkerPool()


class WorkerPool:
    """Does jobs, as a context manager: in this process, one after the other."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Ends the workers."""

    def results(self, jobs: Sequence[Job]) -> Iterator[tuple[Job, Any]]:
        """Yields each job with its result, once, as soon as it is done."""
        for job in jobs:
            yield job, job.run(*job.arguments)


def run_jobs(
    pool: WorkerPool, jobs: Sequence[Job], on_progress: Callable[[int, int], None] = lambda done, total: None
) -> None:
    """Runs the jobs and saves each result at once."""
    for done, (job, result) in enumerate(pool.results(jobs), start=1):
        job.keep(result)
        on_progress(done, len(jobs))


class _Lost(Exception):
    """The worker of a call is gone."""


class _Workers(WorkerPool, ABC):
    """Several workers; the job of a lost one is done again."""

    def results(self, jobs: Sequence[Job]) -> Iterator[tuple[Job, Any]]:
        """As for any pool; jobs wait here until a worker is free.

        Raises:
            SettingsError: workers are lost repeatedly.
        """
        waiting, losses = deque(range(len(jobs))), Counter[int]()
        running: dict[Any, int] = {}
        ended: list[tuple[Job, Any]] = []
        while waiting or running:
            while waiting and self._has_room(len(waiting), len(running)):
                number = waiting.popleft()
                running[self._begin(jobs[number])] = number
            yield from ended
            ended = []
            for call in self._next(running):
                number = running.pop(call)
                try:
                    ended.append((jobs[number], self._end(call)))
                except _Lost:
                    _log.warning("A worker was lost; its job is done again.")
                    waiting.appendleft(number)
                    losses[number] += 1
                    if losses[number] == _MOST_LOSSES:
                        raise SettingsError(
                            f"{_MOST_LOSSES} workers were lost over one job, out of memory?"
                            " – repeat the command with fewer --jobs"
                        ) from None
        yield from ended

    @abstractmethod
    def _has_room(self, waiting: int, running: int) -> bool:
        """Whether another job can begin."""

    @abstractmethod
    def _begin(self, job: Job) -> Any:
        """Calls a worker."""

    @abstractmethod
    def _next(self, running: Collection[Any]) -> Iterable[Any]:
        """Waits for something to happen, and returns the calls that have ended."""

    @abstractmethod
    def _end(self, call: Any) -> Any:
        """The result of a call, or the error of its job; `_Lost` without its worker."""


class _Processes(_Workers):
    """Processes on this machine; they end when their owner ends."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._context = get_context("forkserver")
        self._context.set_forkserver_preload(["agent.play.assembly"])  # imported once, for all workers
        self._pool = self._started()

    def _started(self) -> ProcessPoolExecutor:
        return ProcessPoolExecutor(
            self._count, self._context, initializer=_start_process, initargs=(limits(),)
        )

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(cancel_futures=True)

    def _has_room(self, waiting: int, running: int) -> bool:
        return running < 2 * self._count  # so that no process waits for its next job

    def _begin(self, job: Job) -> Future[Any]:
        try:
            return self._pool.submit(job.run, *job.arguments)
        except BrokenProcessPool:  # one process was killed, and the others ended with it
            self._pool = self._started()
            return self._pool.submit(job.run, *job.arguments)

    def _next(self, running: Collection[Any]) -> Iterable[Any]:
        return wait(running, return_when=FIRST_COMPLETED).done

    def _end(self, call: Future[Any]) -> Any:
        try:
            return call.result()
        except BrokenProcessPool:
            raise _Lost from None


def _start_process(bounds: InputLimits) -> None:
    """Sets up a worker: with the owner's limits, and ending silently on Ctrl+C or when the owner ends."""
    set_limits(bounds)
    signal.signal(signal.SIGINT, lambda *_: sys.exit(130))
    threading.Thread(target=_await_owner, daemon=True, name="owner").start()


def _await_owner() -> None:
    owner = parent_process()
    if owner is not None:
        connection.wait([owner.sentinel])
        os._exit(130)


class _RayWorkers(_Workers):
    """Actors of a Ray cluster, each with one job at a time."""

    def __init__(self, count: int, address: str) -> None:
        with needs("ray"):
            import ray
        self._ray: Any = ray
        self._count = count
        # Actors get a job once they run, so that no job waits for a lost machine.
        self._starting: dict[Any, Any] = {}
        self._idle: list[Any] = []
        self._busy: dict[Any, Any] = {}
        self._failed_starts = 0
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
        # Ray would say there that a worker was lost.
        self._muted = ExitStack()
        nowhere = self._muted.enter_context(Path(os.devnull).open("w"))
        self._muted.enter_context(redirect_stdout(nowhere))
        return self

    def __exit__(self, *_: object) -> None:
        self._ray.shutdown()
        self._muted.close()

    def _has_room(self, waiting: int, running: int) -> bool:
        free = len(self._idle) + len(self._starting)
        for _ in range(min(self._count - free - running, waiting - free)):
            actor = self._ray.remote(num_cpus=1)(_Actor).remote(limits(), Path.cwd())
            self._starting[actor.ready.remote()] = actor
        return bool(self._idle)

    def _begin(self, job: Job) -> Any:
        actor = self._idle.pop()
        call = actor.run.remote(job.run, *job.arguments)
        self._busy[call] = actor
        return call

    def _next(self, running: Collection[Any]) -> Iterable[Any]:
        [happened], _ = self._ray.wait([*self._starting, *running], num_returns=1)
        actor = self._starting.pop(happened, None)
        if actor is None:
            return (happened,)
        try:
            self._ray.get(happened)
        except self._ray.exceptions.RayError as error:
            self._failed_starts += 1
            if self._failed_starts == _MOST_LOSSES * self._count:
                said = str(error).strip().splitlines()[-1][:200]
                raise SettingsError(f"--ray: no worker can start on the cluster ({said})") from None
        else:
            self._failed_starts = 0
            self._idle.append(actor)
        return ()

    def _end(self, call: Any) -> Any:
        actor = self._busy.pop(call)
        try:
            result = self._ray.get(call)
        except self._ray.exceptions.RayTaskError as failed:
            raise failed.cause from None
        except self._ray.exceptions.RayError:
            # The machine may be lost, and other actors with it.
            self._starting |= {other.ready.remote(): other for other in self._idle}
            self._idle.clear()
            raise _Lost from None
        self._idle.append(actor)
        return result


def _look_for(address: str) -> None:
    """Raises OSError if nothing listens there; Ray itself would retry for minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if host:
        socket.create_connection((host, int(port)), timeout=10).close()


class _Actor:
    """Runs jobs in a worker, one at a time."""

    def __init__(self, bounds: InputLimits, folder: Path) -> None:
        set_limits(bounds)
        if folder.is_dir():  # relative paths mean what they mean to the driver
            os.chdir(folder)

    def ready(self) -> None:
        """Returns once the actor runs."""

    def run(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Runs a job."""
        return function(*arguments)
