"""The queue of alerts and messages in a SQLite file; accepted ones survive any crash."""

import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import NamedTuple

from agent.listening.alertmanager import PostedAlert
from data.errors import FirewatchError, SettingsError

# Alertmanager repeats nothing older than five days.
_REMEMBERED_S = 7 * 86400.0
_TABLES = """
PRAGMA synchronous = EXTRA;
CREATE TABLE IF NOT EXISTS alerts (
    key TEXT PRIMARY KEY, labels TEXT NOT NULL, started_s REAL NOT NULL, arrived_s REAL NOT NULL,
    seen_s REAL NOT NULL, firing INTEGER NOT NULL, waiting INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS messages (id INTEGER PRIMARY KEY, body TEXT NOT NULL);
"""


class QueueRefusal(FirewatchError):
    """Too many alerts are waiting, or they cannot be saved."""


class Received(NamedTuple):
    """The number of alerts in a request, by outcome."""

    accepted: int  # new ones, which now wait
    repeated: int
    resolved: int


class WaitingAlert(NamedTuple):
    """An accepted alert without a diagnosis yet."""

    key: str
    labels: dict[str, str]
    started_s: float
    arrived_s: float


class Spool:
    """The queue, shared by the thread that receives and the one that diagnoses.

    Args:
        most: when this many alerts are waiting, no more are accepted.

    Raises:
        SettingsError: the file cannot be opened, or is another kind of file.
    """

    def __init__(self, path: Path, most: int) -> None:
        self._path, self._most, self._lock = path, most, Lock()
        try:
            self._database = sqlite3.connect(path, check_same_thread=False)
            self._database.executescript(_TABLES)
        except sqlite3.Error as error:
            raise SettingsError(f"{path}: {error} – move it away, or choose another --out") from None

    def close(self) -> None:
        """Closes the file."""
        self._database.close()

    def receive(self, alerts: Sequence[PostedAlert], now_s: float) -> Received:
        """Accepts all alerts of a request or none; on return they are on disk.

        Raises:
            QueueRefusal: too many are waiting, or they cannot be saved.
        """
        firing = [one for one in alerts if one.status == "firing"]
        with self._changing() as database:
            waited = self._count(database)
            new = database.executemany(
                "INSERT OR IGNORE INTO alerts VALUES (?, ?, ?, ?, ?, 1, 1)",
                [(one.key, json.dumps(one.labels), one.started_s, now_s, now_s) for one in firing],
            ).rowcount
            if new > 0 and waited >= self._most:  # a large request may exceed it once
                raise QueueRefusal(f"{waited} alerts are waiting already")
            database.executemany(
                "UPDATE alerts SET seen_s = ?, firing = ? WHERE key = ?",
                [(now_s, one.status == "firing", one.key) for one in alerts],
            )
            database.execute("DELETE FROM alerts WHERE NOT waiting AND seen_s < ?", [now_s - _REMEMBERED_S])
        return Received(new, len(firing) - new, len(alerts) - len(firing))

    def waiting(self) -> list[WaitingAlert]:
        """All waiting alerts, in order of arrival."""
        with self._changing() as database:
            rows = database.execute(
                "SELECT key, labels, started_s, arrived_s FROM alerts WHERE waiting ORDER BY arrived_s, rowid"
            ).fetchall()
        return [WaitingAlert(key, json.loads(labels), *times) for key, labels, *times in rows]

    def count(self) -> int:
        """The number of waiting alerts."""
        with self._changing() as database:
            return self._count(database)

    def firing_since(self, earliest_s: float) -> float | None:
        """The earliest start, from `earliest_s` on, of an alert that is firing now."""
        with self._changing() as database:
            [found] = database.execute(
                "SELECT min(started_s) FROM alerts WHERE firing AND started_s >= ?", [earliest_s]
            ).fetchone()
        return found if found is None else float(found)

    def finish(self, alerts: Sequence[WaitingAlert], message: str | None) -> None:
        """Removes reported alerts from the queue, and adds the message to send, if any."""
        with self._changing() as database:
            database.executemany("UPDATE alerts SET waiting = 0 WHERE key = ?", [(a.key,) for a in alerts])
            if message is not None:
                database.execute("INSERT INTO messages (body) VALUES (?)", [message])

    def next_message(self) -> tuple[int, str] | None:
        """The oldest message to send."""
        with self._changing() as database:
            found = database.execute("SELECT id, body FROM messages ORDER BY id LIMIT 1").fetchone()
        return None if found is None else (int(found[0]), str(found[1]))

    def drop_message(self, number: int) -> None:
        """Removes a message that was sent or given up."""
        with self._changing() as database:
            database.execute("DELETE FROM messages WHERE id = ?", [number])

    @contextmanager
    def _changing(self) -> Iterator[sqlite3.Connection]:
        """A transaction, on disk at its end."""
        try:
            with self._lock, self._database:
                yield self._database
        except sqlite3.Error as error:
            raise QueueRefusal(f"{self._path}: {error}") from None

    @staticmethod
    def _count(database: sqlite3.Connection) -> int:
        return int(database.execute("SELECT count(*) FROM alerts WHERE waiting").fetchone()[0])
