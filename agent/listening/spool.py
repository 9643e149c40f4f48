"""Alerts and messages that wait, in one SQLite file: what has been accepted survives any crash."""

import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import NamedTuple

from agent.listening.alertmanager import PostedAlert
from data.errors import FirewatchError, SettingsError

# Alertmanager forgets after five days whom it has told, and so repeats nothing older than that.
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
    """More alerts wait than may, or they cannot be written."""


class Received(NamedTuple):
    """What became of the alerts of one request."""

    accepted: int  # new ones, which now wait
    repeated: int
    resolved: int


class WaitingAlert(NamedTuple):
    """An accepted alert that nothing has been said about."""

    key: str
    labels: dict[str, str]
    started_s: float
    arrived_s: float


class Spool:
    """The file. The thread that receives and the one that diagnoses share it.

    Args:
        most: with so many alerts waiting, no more are taken.

    Raises:
        SettingsError: it cannot be opened, or is something else.
    """

    def __init__(self, path: Path, most: int) -> None:
        self._path, self._most, self._lock = path, most, Lock()
        try:
            self._database = sqlite3.connect(path, check_same_thread=False)
            self._database.executescript(_TABLES)
        except sqlite3.Error as error:
            raise SettingsError(f"{path}: {error} – move it away, or choose another --out") from None

    def close(self) -> None:
        """Nothing may be asked afterwards."""
        self._database.close()

    def receive(self, alerts: Sequence[PostedAlert], now_s: float) -> Received:
        """Takes all alerts of a request or none; once this returns, they are on the disk.

        Raises:
            QueueRefusal: too many wait, or they cannot be written.
        """
        firing = [one for one in alerts if one.status == "firing"]
        with self._changing() as database:
            waited = self._count(database)
            new = database.executemany(
                "INSERT OR IGNORE INTO alerts VALUES (?, ?, ?, ?, ?, 1, 1)",
                [(one.key, json.dumps(one.labels), one.started_s, now_s, now_s) for one in firing],
            ).rowcount
            if new > 0 and waited >= self._most:  # one request may exceed it: else a large one never got in
                raise QueueRefusal(f"{waited} alerts wait already")
            database.executemany(
                "UPDATE alerts SET seen_s = ?, firing = ? WHERE key = ?",
                [(now_s, one.status == "firing", one.key) for one in alerts],
            )
            database.execute("DELETE FROM alerts WHERE NOT waiting AND seen_s < ?", [now_s - _REMEMBERED_S])
        return Received(new, len(firing) - new, len(alerts) - len(firing))

    def waiting(self) -> list[WaitingAlert]:
        """All alerts that wait, the first to arrive first."""
        with self._changing() as database:
            rows = database.execute(
                "SELECT key, labels, started_s, arrived_s FROM alerts WHERE waiting ORDER BY arrived_s, rowid"
            ).fetchall()
        return [WaitingAlert(key, json.loads(labels), *times) for key, labels, *times in rows]

    def count(self) -> int:
        """How many alerts wait."""
        with self._changing() as database:
            return self._count(database)

    def firing_since(self, earliest_s: float) -> float | None:
        """When the first of the alerts that fire now began, of those that began after `earliest_s`."""
        with self._changing() as database:
            [found] = database.execute(
                "SELECT min(started_s) FROM alerts WHERE firing AND started_s >= ?", [earliest_s]
            ).fetchone()
        return found if found is None else float(found)

    def finish(self, alerts: Sequence[WaitingAlert], message: str | None) -> None:
        """These alerts have been reported on; `message` is to be sent, if there is one."""
        with self._changing() as database:
            database.executemany("UPDATE alerts SET waiting = 0 WHERE key = ?", [(a.key,) for a in alerts])
            if message is not None:
                database.execute("INSERT INTO messages (body) VALUES (?)", [message])

    def next_message(self) -> tuple[int, str] | None:
        """The oldest message that has not been sent."""
        with self._changing() as database:
            found = database.execute("SELECT id, body FROM messages ORDER BY id LIMIT 1").fetchone()
        return None if found is None else (int(found[0]), str(found[1]))

    def drop_message(self, number: int) -> None:
        """This message was sent, or given up."""
        with self._changing() as database:
            database.execute("DELETE FROM messages WHERE id = ?", [number])

    @contextmanager
    def _changing(self) -> Iterator[sqlite3.Connection]:
        """All or nothing of what happens in the block, on the disk at its end."""
        try:
            with self._lock, self._database:
                yield self._database
        except sqlite3.Error as error:
            raise QueueRefusal(f"{self._path}: {error}") from None

    @staticmethod
    def _count(database: sqlite3.Connection) -> int:
        return int(database.execute("SELECT count(*) FROM alerts WHERE waiting").fetchone()[0])
