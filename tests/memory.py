"""Limits the memory that a part of a test may use."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager

import psutil

MIB = 2**20


def _peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


@contextmanager
def at_most(mib: int) -> Iterator[None]:
    """Fails if the block raises the process's peak memory by more than `mib`."""
    bound = max(_peak_bytes(), psutil.Process().memory_info().rss + mib * MIB)
    yield
    assert _peak_bytes() <= bound, f"over {mib} MiB"
