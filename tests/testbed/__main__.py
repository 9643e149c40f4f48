"""Runs scenarios on the shop and asks `firewatch diagnose` about each: the table of `make testbed`.

python -m testbed [--seeds 1,2,3] [--scenarios NAME,NAME] [--by service|pod] [--keep FOLDER] [--out FILE]
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from testbed.debian import NotToBeHad, program
from testbed.faults import SCENARIOS, struck
from testbed.shop import PODS, Shop, running

REPO = Path(__file__).resolve().parents[2]
BASELINE_S, INCIDENT_S, REST_S = 45, 24, 8  # healthy before, faulty until asked, left out between scenarios


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--seeds", default="1,2,3")
    parser.add_argument("--scenarios", default=",".join(SCENARIOS))
    parser.add_argument("--by", default="service", choices=("service", "pod"))
    parser.add_argument("--keep", type=Path, help="keep incidents and logs in this folder")
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    try:
        program("prometheus", "prometheus")
    except NotToBeHad as reason:
        print(f"testbed: {reason}", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as temporary:
        folder = asked.keep or Path(temporary)
        seeds, names = [int(seed) for seed in asked.seeds.split(",")], asked.scenarios.split(",")
        with ThreadPoolExecutor(len(seeds)) as pool:
            rows = [row for of in pool.map(lambda s: played(s, names, asked.by, folder), seeds) for row in of]
    result = {
        "config": {
            "seeds": seeds, "by": asked.by, "processes": len(PODS) + 3, "baseline_s": BASELINE_S,
            "incident_s": INCIDENT_S, "scrape_s": 1,
        },
        **summary(rows),
        "results": rows,
    }  # fmt: skip
    text = json.dumps(result, indent=2, ensure_ascii=False) + "\n"
    if asked.out:
        asked.out.write_text(text, encoding="utf-8")
    print(json.dumps(summary(rows), indent=2))
    return 0


def played(seed: int, names: list[str], by: str, folder: Path) -> list[dict[str, Any]]:
    """All scenarios of one seed on one shop, each after a healthy stretch of its own.

    Shops side by side begin with different scenarios: they share the machine.
    """
    rows = []
    first = 4 * seed % len(names)
    names = names[first:] + names[:first]
    with running(folder / f"seed-{seed}", seed) as shop:
        time.sleep(REST_S)
        for name in names:
            time.sleep(REST_S + BASELINE_S)
            with struck(shop, name) as pod:
                time.sleep(INCIDENT_S)
                row = {"scenario": name, "seed": seed, **asked_about(shop, pod, by, name)}
            print(json.dumps(row, ensure_ascii=False), file=sys.stderr, flush=True)
            rows.append(row)
    return rows


def asked_about(shop: Shop, pod: str | None, by: str, name: str) -> dict[str, Any]:
    """What `firewatch diagnose` says, a process of its own, as a person would run it."""
    save = shop.folder / f"{name.replace(' ', '-')}.json"
    command = [
        sys.executable, "-m", "agent", "diagnose", "--prometheus", shop.prometheus, "--by", by, "--json", "-",
        "--window", f"{INCIDENT_S}s", "--baseline", f"{BASELINE_S}s", "--history", "10m", "--save", str(save),
    ]  # fmt: skip
    began = time.monotonic()
    done = subprocess.run(command, cwd=REPO, capture_output=True, text=True, timeout=120)
    seconds = time.monotonic() - began
    if done.returncode:
        return {"root": pod, "error": done.stderr.strip()[-300:], "seconds": seconds}
    answer = json.loads(done.stdout)
    service = PODS[pod][0] if pod else None
    right = {service, pod if by == "pod" else service}
    order = [candidate["service"] for candidate in answer["candidates"]]
    place = next((place for place, one in enumerate(order, 1) if one in right), None)
    return {
        "root": pod,
        "verdict": answer["verdict"],
        "place": place,
        "first": [
            {
                "service": one["service"],
                "probability": round(one["probability"] or 0.0, 3),
                "evidence": one["evidence"],
            }
            for one in answer["candidates"][:2]
        ],
        "seconds": round(seconds, 2),
    }


def summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Culprit first in the faulty scenarios, nobody in the healthy ones."""
    faulty = [row for row in rows if row["root"]]
    healthy = [row for row in rows if not row["root"]]
    return {
        "n_faulty": len(faulty),
        "culprit_first": _share(sum(row.get("place") == 1 for row in faulty), len(faulty)),
        "culprit_in_first_three": _share(sum((row.get("place") or 99) <= 3 for row in faulty), len(faulty)),
        "n_healthy": len(healthy),
        "nobody_named": _share(sum(row.get("verdict") == "nobody" for row in healthy), len(healthy)),
        "no_culprit_named": _share(sum(row.get("verdict") != "culprit" for row in healthy), len(healthy)),
        "slowest_s": max((row["seconds"] for row in rows), default=None),
    }


def _share(part: int, whole: int) -> float | None:
    return round(part / whole, 3) if whole else None


if __name__ == "__main__":
    sys.exit(main())
