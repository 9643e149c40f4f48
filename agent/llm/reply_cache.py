"""A cache of replies: the same request gets the same reply."""

import hashlib
import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data.errors import SchemaError
from data.files.json_file import read_object
from data.files.whole_file import write_whole

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ReplyCache:
    """One file per request; a damaged file counts as missing."""

    folder: Path
    endpoint: str  # the same request means something else elsewhere

    def get(self, request: Mapping[str, Any]) -> str | None:
        """The reply that was kept, if one can be read."""
        try:
            text = read_object(self._file(request)).get("text")
        except (OSError, SchemaError):
            return None
        return text if isinstance(text, str) else None

    def put(self, request: Mapping[str, Any], text: str) -> None:
        """Keeps a reply; a folder that cannot be written to costs money, not the run."""
        try:
            write_whole(self._file(request), json.dumps({"text": text, "request": request}))
        except OSError as error:
            _log.warning("%s: replies are not kept: %s", self.folder, error.strerror)

    def _file(self, request: Mapping[str, Any]) -> Path:
        whole = json.dumps([self.endpoint, request], sort_keys=True)
        return self.folder / f"{hashlib.sha256(whole.encode()).hexdigest()}.json"
