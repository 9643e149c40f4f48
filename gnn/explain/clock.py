"""Says when something began: by the clock if known, else by tick or point number."""

from datetime import UTC, datetime

from data.incident import Incident


class Clock:
    """Puts the points in time of one incident into words."""

    def __init__(self, incident: Incident) -> None:
        self._start_s, self._step_s = incident.start_s, incident.step_s
        self._observations = incident.observations

    def since(self, onset: int, points: int) -> str:
        """Such as "since tick 4"; empty if there is only one point.

        Args:
            onset: number of the point, from 0.
        """
        if self._start_s is not None and (self._step_s is not None or onset == 0):
            return f"since {self._at(onset * (self._step_s or 0.0))}"
        if points < 2:
            return ""
        if len(self._observations) == points:
            # What was before the first observation is unknown.
            return f"since tick {self._observations[onset].sim_tick}" + (" or before" if onset == 0 else "")
        return f"since point {onset + 1} of {points}"

    def ago(self, age_s: float, points: int) -> str:
        """When something happened, relative to the start of the incident, from its age at the last point."""
        if self._step_s is None:
            return f"{_whole(age_s)} ago"
        after_s = (points - 1) * self._step_s - age_s
        at = "" if self._start_s is None else f", at {self._at(after_s)}"
        if after_s > 0:
            return f"{_whole(after_s)} into the incident{at}"
        return f"{_whole(-after_s)} before{at}"

    def _at(self, after_s: float) -> str:
        when = datetime.fromtimestamp((self._start_s or 0.0) + after_s, UTC)
        return f"{when:%H:%M} UTC"


def _whole(seconds: float) -> str:
    """A duration in whole seconds, minutes or hours."""
    if seconds < 120.0:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200.0 else f"{seconds / 3600:.0f} h"
