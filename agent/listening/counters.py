"""Metrics about `listen` itself, for Prometheus."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from agent.listening.spool import Spool

_SECONDS = (1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1800)


class Counters:
    """The metrics of one listener, in a registry of their own."""

    def __init__(self, spool: Spool) -> None:
        self.registry = CollectorRegistry()
        self.alerts = Counter(
            "firewatch_alerts",
            "Alerts received, by outcome.",
            ["outcome"],
            registry=self.registry,
        )
        self.diagnoses = Counter(
            "firewatch_diagnoses", "Diagnoses by verdict.", ["verdict"], registry=self.registry
        )
        self.messages = Counter(
            "firewatch_messages", "Messages sent on, or given up.", ["outcome"], registry=self.registry
        )
        self.diagnosis_s = Histogram(
            "firewatch_diagnosis_seconds",
            "How long a diagnosis takes.",
            registry=self.registry,
            buckets=_SECONDS,
        )
        self.from_firing_s = Histogram(
            "firewatch_firing_to_report_seconds",
            "Time from the first alert to the report.",
            registry=self.registry,
            buckets=_SECONDS,
        )
        waiting = Gauge(
            "firewatch_alerts_waiting", "Alerts that wait for a diagnosis.", registry=self.registry
        )
        waiting.set_function(spool.count)
