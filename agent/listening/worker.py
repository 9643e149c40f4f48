"""Turns waiting alerts into diagnoses, at a limited rate, and saves and sends them."""

import asyncio
import json
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from agent.listening.counters import Counters
from agent.listening.notify import Notifier, message_body
from agent.listening.options import ListenOptions
from agent.listening.spool import Spool, WaitingAlert
from agent.live_diagnosis import Diagnosis, LiveOptions, seconds_of
from agent.report.diagnosis import in_one_sentence
from agent.report.html import render_html
from agent.report.ranking_report import ranking_report
from agent.terminal_text import printable
from data.errors import FirewatchError
from data.files.jsonl import append
from data.files.whole_file import write_whole
from data.sources.own_form import to_json
from data.sources.times import iso_time
from data.words import few

Diagnose = Callable[[LiveOptions], Awaitable[Diagnosis]]
_GLANCE_S = 0.25  # between checks of the queue
_TRIES = 3  # of a diagnosis, before its failure is reported
_TOLD = 20  # alerts of a diagnosis


class Worker:
    """Empties the queue, one diagnosis at a time.

    Args:
        notifier: sends diagnoses; None: they are not sent.
    """

    def __init__(
        self,
        asked: ListenOptions,
        spool: Spool,
        diagnose: Diagnose,
        notifier: Notifier | None,
        counters: Counters,
        tell: Callable[[str], None],
    ) -> None:
        self._asked, self._spool, self._diagnose, self._notifier = asked, spool, diagnose, notifier
        self._counters, self._tell = counters, tell
        self._gather_s, self._every_s = seconds_of(asked.gather), seconds_of(asked.every)
        self._failures = 0

    async def work(self) -> None:
        """Runs until cancelled."""
        await asyncio.gather(self._diagnose_all(), self._send_all())

    async def _diagnose_all(self) -> None:
        while True:
            waiting = self._spool.waiting()
            if waiting and time.time() >= waiting[0].arrived_s + self._gather_s:
                next_s = time.monotonic() + self._every_s
                await self._diagnosed(waiting)
                await asyncio.sleep(next_s - time.monotonic())
            await asyncio.sleep(_GLANCE_S)

    async def _diagnosed(self, alerts: Sequence[WaitingAlert]) -> None:
        began_s = time.time()
        about = self._about(alerts, began_s)
        try:
            found = await self._diagnose(about)
        except FirewatchError as error:
            self._failures += 1
            self._tell(f"No diagnosis of {_firing(alerts)}: {error}")
            if self._failures < _TRIES:
                return
            self._keep(alerts, None, str(error))
        else:
            self._counters.diagnosis_s.observe(time.time() - began_s)
            self._keep(alerts, found, in_one_sentence(found.ranking))
        self._failures = 0

    def _about(self, alerts: Sequence[WaitingAlert], now_s: float) -> LiveOptions:
        """The period to look at: from before the first alert to now or, after a restart, to back then."""
        end_s = min(now_s, max(one.arrived_s for one in alerts) + self._gather_s + self._every_s)
        lead_s, longest_s = seconds_of(self._asked.lead), seconds_of(self._asked.window)
        since_s = self._spool.firing_since(end_s - longest_s) or end_s
        window_s = min(max(end_s - since_s, 0.0) + lead_s, longest_s)
        return self._asked.model_copy(update={"at": str(end_s), "window": f"{max(window_s, 1.0):.0f}s"})

    def _keep(self, alerts: Sequence[WaitingAlert], found: Diagnosis | None, said: str) -> None:
        """Saves a diagnosis, then removes its alerts from the queue."""
        now_s = time.time()
        from_firing_s = now_s - min(one.started_s for one in alerts)
        facts: dict[str, Any] = {
            "summary": said,
            "alerts": [{**one.labels, "started": iso_time(one.started_s)} for one in alerts[:_TOLD]],
            "alerts_in_all": len(alerts),
            "from_firing_s": round(from_firing_s, 1),
        }
        if found is None:
            record, words = {"incident": iso_time(now_s), "error": said, **facts}, ""
        else:
            record, words = {**found.record(), **facts}, found.words(3)
            self._write(found, record)
        append(self._asked.out / "diagnoses.jsonl", record)
        title = f"{_firing(alerts)}: {printable(said)}"
        body = message_body(self._asked.notify, record, f"{title}\n{words}") if self._notifier else None
        self._spool.finish(alerts, body)
        self._counters.diagnoses.labels(found.ranking.verdict if found else "none").inc()
        self._counters.from_firing_s.observe(from_firing_s)
        if found is not None:
            self._tell(f"{title} ({from_firing_s:.0f} s after firing)")

    def _write(self, found: Diagnosis, record: dict[str, Any]) -> None:
        name = found.incident.incident_id.replace(":", "-")
        incident = json.dumps(to_json(found.incident), ensure_ascii=False)
        page = render_html(ranking_report(record))
        write_whole(self._asked.out / "incidents" / f"{name}.json", incident)
        write_whole(self._asked.out / "reports" / f"{name}.html", page)

    async def _send_all(self) -> None:
        while self._notifier is not None:
            message = self._spool.next_message()
            if message is None:
                await asyncio.sleep(_GLANCE_S)
                continue
            number, body = message
            try:
                await self._notifier.send(body)
                self._counters.messages.labels("sent").inc()
            except FirewatchError as error:
                self._tell(f"A message was given up: {error}")
                self._counters.messages.labels("given up").inc()
            self._spool.drop_message(number)


def _firing(alerts: Sequence[WaitingAlert]) -> str:
    """The names of the firing alerts, shortened."""
    names = Counter(printable(one.labels.get("alertname", "alert"))[:80] for one in alerts)
    return few((f"{name} ({count})" if count > 1 else name for name, count in names.most_common()), 3)
