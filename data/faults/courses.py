"""The courses of faults that symptoms alone cannot describe."""

from collections.abc import Callable, Mapping

from data.faults.drives import Drive

Levels = list[tuple[Drive, float]]


def _out_of_memory(minutes: float, pace: float) -> Levels:
    filled = 0.48 * pace * minutes
    if filled < 0.96:
        return [(Drive.MEMORY, filled), (Drive.GC, 200.0 * filled**4)]
    kills = 1 + int((minutes - 2.0 / pace) * 2)
    return [(Drive.ERROR, 1.0), (Drive.MEMORY, 0.77), (Drive.RESTARTS, kills), (Drive.GC, 250.0)]


def _noisy_neighbour(minutes: float, pace: float) -> Levels:
    quiet = 1.0 if minutes % (3.0 / pace) < 0.7 * (3.0 / pace) else 0.4
    latency = min(0.8 + 0.6 * pace * minutes, 4.0)
    error = min(0.08 * pace * minutes, 0.35)
    return [
        (Drive.LATENCY, quiet * latency),
        (Drive.CPU, 0.25 * quiet),
        (Drive.ERROR, quiet * error),
        (Drive.SATURATION, 0.3 * quiet),
    ]


def _crash_loop(minutes: float, pace: float) -> Levels:
    period = 1.5 / pace
    crashes = 1 + int(minutes / period)
    serving = minutes % period < period / (1 + crashes) and crashes < 4
    share = 0.35 if serving else min(0.6 + 0.1 * crashes, 1.0)
    return [
        (Drive.ERROR, share),
        (Drive.RESTARTS, crashes),
        (Drive.SILENCE, 0.0 if serving else 0.5),
        (Drive.CPU, 0.15 if serving else 0.0),
    ]


# The drives after some minutes, at a multiple of the usual speed.
COURSES: Mapping[str, Callable[[float, float], Levels]] = {
    "oom": _out_of_memory,
    "noisy_neighbour": _noisy_neighbour,
    "crash_loop": _crash_loop,
}
