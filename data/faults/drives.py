"""What a fault affects at its own service."""

from enum import IntEnum

import numpy as np

from data.arrays import Floats


class Drive(IntEnum):
    """What a fault affects at its own service; 0 means unaffected."""

    ERROR = 0  # share of requests that fail there
    LATENCY = 1  # extra p99 seconds, at a service whose healthy p99 is 0.1 s
    CPU = 2  # extra share of the cpu limit
    MEMORY = 3  # share of the free memory eaten
    SATURATION = 4  # share of pool, threads or queue taken
    DESCRIPTORS = 5  # extra open files and sockets
    DISK = 6  # share of the disk filled
    NETWORK = 7  # share of packets lost or resent
    SILENCE = 8  # share of the instances that neither answer nor report metrics
    GC = 9  # extra pause, ms
    RESTARTS = 10  # restarts so far
    SURGE = 11  # extra load, as a share of the usual
    CLIENT = 12  # extra seconds on every call that the service itself makes
    LOGS = 13  # unusual log lines per request, besides those of failures


# How much a drive falls per minute once its fault is halted. Error and latency fade over several ticks, as
# callers come back slowly; resources are freed at once.
FADE_PER_MINUTE: Floats = np.array([0.3, 3.0, 9, 9, 9, 9e4, 9, 9, 9, 9e4, 0, 9, 9, 9], dtype=np.float64)
