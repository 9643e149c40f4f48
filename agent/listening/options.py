"""The options of `listen`."""

from pathlib import Path
from typing import Literal

from agent.live_diagnosis import Duration, LiveOptions
from data.options import option


class ListenOptions(LiveOptions):
    """Where alerts arrive, how often to diagnose, and where diagnoses go."""

    out: Path = option(
        ..., "Folder for the queue, diagnoses.jsonl, reports/ and incidents/.", metavar="DIR", recorded=False
    )
    host: str = option("127.0.0.1", "Address to listen on.")
    port: int = option(8766, "Port to listen on; 0 takes a free one.", ge=0, le=65535)
    gather: Duration = option(
        "5s", "Wait this long for more alerts of the same incident.", metavar="DURATION"
    )
    every: Duration = option("60s", "Diagnose at most this often.", metavar="DURATION")
    lead: Duration = option(
        "5m", "An incident may have begun this long before its first alert fired.", metavar="DURATION"
    )
    waiting: int = option(1000, "Refuse more alerts for now when this many are waiting.", metavar="N", ge=1)
    notify: Literal["none", "json", "slack"] = option(
        "none", "Send each diagnosis to NOTIFY_URL: as JSON, or as a Slack message."
    )
