"""Log lines in JSON, one a line, as programs and log collectors write them."""

import re
from collections.abc import Sequence

from pydantic import AliasChoices, AliasPath, BaseModel, Field

from data.sources.files.opened import File, Head
from data.sources.files.reader import Gathered
from data.sources.files.span_tables import BAD_LEVEL, BAD_LINE
from data.sources.recording import NOBODY
from data.sources.times import seconds

_SERVICE = ("service", "service.name", "service_name", "serviceName", "app", "container_name")
_TIME = ("timestamp", "@timestamp", "time", "ts")
_LEVEL = ("level", "severity", "levelname", "log.level")
_TEXT = ("message", "msg", "log", "body")
_ERROR = 50  # from this number on a level is an error, in the libraries that use numbers


def _any(names: Sequence[str]) -> object:
    """A field under one of these names; "a.b" may be one name, or "b" inside of "a"."""
    inside = [AliasPath(*name.split(".")) for name in names if "." in name]
    return Field(None, validation_alias=AliasChoices(*inside, *names))


class _Line(BaseModel):
    service: object = _any(_SERVICE)
    time: object = _any(_TIME)
    level: object = _any(_LEVEL)
    text: object = _any(_TEXT)

    @property
    def is_error(self) -> bool:
        """Whether its level says so or, without a level, its text."""
        if isinstance(self.level, int):
            return self.level >= _ERROR
        level, text = (one if isinstance(one, str) else "" for one in (self.level, self.text))
        return re.search(BAD_LEVEL if level else BAD_LINE, level or text) is not None


class JsonLogs:
    """How many lines each service writes, and how many of them are errors."""

    name = "log lines in JSON (timestamp, service, level, message)"

    def recognises(self, head: Head) -> bool:
        told = (*_LEVEL, *_TEXT)
        return all(not head.paths.isdisjoint(names) for names in (_SERVICE, _TIME, told))

    def read(self, file: File, into: Gathered) -> None:
        for line in file.each(_Line, limit=into.limit):
            time_s = seconds(line.time)
            if isinstance(line.service, str) and line.service not in NOBODY and time_s is not None:
                into.spans.logs(line.service, [time_s], [line.is_error])
