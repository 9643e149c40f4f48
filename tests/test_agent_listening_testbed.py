"""From a fault in real processes over the real Prometheus and Alertmanager to the culprit in a report."""

import os
import time
from pathlib import Path
from typing import Any

import pytest
from test_agent_listening import TOKEN, kept, listening, until
from testbed.debian import NotToBeHad, program
from testbed.faults import struck
from testbed.shop import PODS, running

# Each takes most of a minute, so they are named: FIREWATCH_TESTBED="bad deploy,stopped" pytest -s …
ASKED = os.environ.get("FIREWATCH_TESTBED", "")
_HEALTHY_S = 25  # before the fault
_OPTIONS = ["--window", "20s", "--baseline", "15s", "--lead", "5s", "--gather", "1s", "--every", "3s"]


@pytest.mark.skipif(not ASKED, reason="FIREWATCH_TESTBED names no scenario")
@pytest.mark.parametrize("scenario", ASKED.split(","))
def test_a_fault_is_reported_with_its_culprit(scenario: str, tmp_path: Path) -> None:
    try:
        for name in ("prometheus", "prometheus-alertmanager"):
            program(name, name)
    except NotToBeHad as reason:
        pytest.skip(str(reason))
    with (
        running(tmp_path / "shop", 1, is_watched=True) as shop,
        listening(tmp_path / "out", shop.prometheus, "--namespace", "shop", *_OPTIONS) as listener,
    ):
        shop.start_alertmanager(str(listener.http.base_url.join("/alerts")), TOKEN)
        time.sleep(_HEALTHY_S)
        began_s = time.time()
        with struck(shop, scenario) as pod:
            record = until(lambda: next(filter(_is_about_trouble, kept(listener.out)), None))
    took_s = time.time() - began_s
    print(f"\n{scenario}: {took_s:.1f} s after the fault, {record['from_firing_s']} s after firing,")
    print(f"  of {pod}: {record['summary']}")
    assert pod is not None and record["candidates"][0]["service"] == PODS[pod][0]


def _is_about_trouble(record: dict[str, Any]) -> bool:
    """Not only about the alert that fires all day."""
    return any(alert["alertname"] != "ManyOpenFiles" for alert in record["alerts"])
