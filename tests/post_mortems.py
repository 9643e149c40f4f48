"""Labelled incidents of a small shop, as in a file: everybody complains, the culprit also of its disk."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

SERVICES = ("front", "cart", "stock", "mail", "db")


def post_mortems(count: int) -> Iterator[dict[str, Any]]:
    """One incident per service, with that service as the root cause."""
    rng = np.random.default_rng(0)
    for number in range(count):
        root = SERVICES[number % len(SERVICES)]
        told = [(name, f"retry {rng.integers(4)}") for name in SERVICES] + [(root, "disk full")]
        rng.shuffle(told)
        yield {
            "incident_id": f"shop-{number}",
            "system": "shop",
            "call_graph": {name: SERVICES[at + 1 : at + 2] for at, name in enumerate(SERVICES)},
            "alerts": [{"kind": "log", "service": s, "name": n, "direction": "up"} for s, n in told],
            "root_causes": [root],
        }


def write_post_mortems(path: Path, count: int) -> None:
    """Writes them to an incident file."""
    path.write_text("".join(json.dumps(each) + "\n" for each in post_mortems(count)), encoding="utf-8")
