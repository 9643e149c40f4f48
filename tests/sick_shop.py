"""A small incident with a known root cause: web calls cart and users, cart calls stock, stock is sick."""

from collections.abc import Mapping

import numpy as np

from data.incident import AlertEvent, Incident, Series

CALLS = {"web": ("cart", "users"), "cart": ("stock",)}
_USUAL = {"web": 0.12, "cart": 0.05, "users": 0.03, "stock": 0.01}


def sick_shop(sick: Mapping[str, float] | None = None, start_s: float = 1_780_000_000.0) -> Incident:
    """The incident. `sick` maps a service to its slowdown factor; 40 % of its requests fail."""
    sick = {"stock": 30.0, "cart": 8.0, "web": 4.0} if sick is None else sick
    wobble = 1 + 0.05 * np.sin(np.arange(60.0))
    telemetry = {}
    for service, usual_s in _USUAL.items():
        factor = sick.get(service, 1.0)
        failing = 0.4 if factor > 10 else 0.1 if factor > 1 else 0.0
        telemetry[service] = {
            "latency_p99_s": Series(usual_s * factor * wobble[:20], usual_s * wobble[20:]),
            "error_rate": Series(0.001 + failing * wobble[:20], 0.001 * wobble[20:]),
            "cpu_usage": Series(0.2 * wobble[:20], 0.2 * wobble[20:]),
        }
    alerts = tuple(AlertEvent(name, "metric", "HighErrorRate", "up") for name in sick)
    return Incident(
        "sick-shop", tuple(_USUAL), CALLS, telemetry, alerts=alerts, start_s=start_s, step_s=15.0
    )  # fmt: skip
