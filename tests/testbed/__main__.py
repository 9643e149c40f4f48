"""Runs scenarios on the shop and asks `diagnose` and `investigate` about each: the table of `make testbed`.

python -m testbed [--seeds 1,2,3] [--scenarios NAME,NAME] [--keep FOLDER] [--out FILE]
python -m testbed --again FOLDER [--out FILE]     ranks what such a run has kept once more
"""

import argparse
import asyncio
import hashlib
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from llm_server import LLMServer
from stand_in import follows_the_rules

from agent.investigation.investigate import investigate
from agent.investigation.options import InvestigateOptions
from testbed.debian import NotToBeHad, program
from testbed.faults import SCENARIOS, struck
from testbed.shop import PODS, Shop, running

REPO = Path(__file__).resolve().parents[2]
BASELINE_S, INCIDENT_S, REST_S = 45, 24, 8  # healthy before, faulty until asked, left out between scenarios
BY = ("service", "pod")
Row = dict[str, Any]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--seeds", default="1,2,3")
    parser.add_argument("--scenarios", default=",".join(SCENARIOS))
    parser.add_argument("--keep", type=Path)
    parser.add_argument("--again", type=Path)
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    if asked.again:
        kept = json.loads((asked.again / "result.json").read_text())
        rows = [{**row, **again(asked.again, row)} for row in kept["results"]]
        network = (REPO / "checkpoints" / "ranker" / "model.onnx").read_bytes()
        ranked = {"ranked": "again, from what was kept", "network": hashlib.sha256(network).hexdigest()}
        result = {"config": {**kept["config"], **ranked}, **summary(rows), "results": rows}
    else:
        try:
            program("prometheus", "prometheus")
        except NotToBeHad as reason:
            print(f"testbed: {reason}", file=sys.stderr)
            return 2
        with tempfile.TemporaryDirectory() as temporary:
            folder = asked.keep or Path(temporary)
            seeds, names = [int(seed) for seed in asked.seeds.split(",")], asked.scenarios.split(",")
            with ThreadPoolExecutor(len(seeds)) as pool:
                played_by_seed = pool.map(lambda seed: played(seed, names, folder), seeds)
                rows = [row for of in played_by_seed for row in of]
            config = {
                "seeds": seeds, "processes": len(PODS) + 3, "baseline_s": BASELINE_S,
                "incident_s": INCIDENT_S,
                "scrape_s": 1,
            }  # fmt: skip
            result = {"config": config, **summary(rows), "results": rows}
            (folder / "result.json").write_text(_text(result), encoding="utf-8")
    if asked.out:
        asked.out.write_text(_text(result), encoding="utf-8")
    print(_text({key: value for key, value in result.items() if key != "results"}), end="")
    return 0


def played(seed: int, names: Sequence[str], folder: Path) -> list[Row]:
    """All scenarios of one seed on one shop, each after a healthy stretch of its own.

    Shops side by side begin with different scenarios: they share the machine.
    """
    rows = []
    first = 4 * seed % len(names)
    with running(folder / f"seed-{seed}", seed) as shop:
        time.sleep(REST_S)
        for name in (*names[first:], *names[:first]):
            time.sleep(REST_S + BASELINE_S)
            with struck(shop, name) as pod:
                time.sleep(INCIDENT_S)
                at = time.time()
                for by in BY:
                    row = {"scenario": name, "seed": seed, "by": by, "root": pod}
                    rows.append({**row, **asked_about(shop, row, at)})
                    print(json.dumps(rows[-1], ensure_ascii=False), file=sys.stderr, flush=True)
    return rows


def asked_about(shop: Shop, row: Row, at: float) -> Row:
    """The output of `firewatch diagnose`, run in its own process."""
    save = str(kept_at(shop.folder, row))
    command = [
        "diagnose", "--prometheus", shop.prometheus, "--at", str(at), "--window", f"{INCIDENT_S}s",
        "--baseline", f"{BASELINE_S}s", "--history", "10m", "--by", row["by"], "--save", save, "--json", "-",
    ]  # fmt: skip
    began = time.monotonic()
    judged = _judged(command, row)
    seconds = round(time.monotonic() - began, 2)
    live = {
        "prometheus": shop.prometheus, "at": str(at), "window": f"{INCIDENT_S}s", "history": "10m",
        "baseline": f"{BASELINE_S}s", "by": row["by"], "logs": (shop.folder,),
    }  # fmt: skip
    return {**judged, "seconds": seconds, "investigated": investigated(live, row)}


def again(folder: Path, row: Row) -> Row:
    """The current output for a stored incident."""
    file = kept_at(folder / f"seed-{row['seed']}", row)
    judged = _judged(["rank", str(file), "--json", "-"], row)
    return {**judged, "investigated": investigated({"incident": (file,)}, row)}


def investigated(options: dict[str, Any], row: Row) -> dict[str, Any]:
    """The answer of `investigate`, with rules alone and with a model that follows them."""
    found = {}
    asked = InvestigateOptions(**options)
    with LLMServer(follows_the_rules) as model:
        for who, variables in (("rules", {}), ("model", {"API_BASE_URL": model.url})):
            told = asyncio.run(investigate(asked, variables)).conclusion
            found[who] = {
                "verdict": told.verdict, "culprits": told.culprits, "decided_by": told.decided_by,
                "is_first": bool(told.culprits) and told.culprits[0] in _right(row),
            }  # fmt: skip
    return found


def _right(row: Row) -> set[str | None]:
    """Accepted names for the culprit."""
    pod = row["root"]
    return {PODS[pod][0], pod} if pod and row["by"] == "service" else {pod}


def kept_at(folder: Path, row: Row) -> Path:
    """The path of a row's stored incident."""
    return folder / f"{row['scenario'].replace(' ', '-')}-{row['by']}.jsonl"


def _judged(command: Sequence[str], row: Row) -> Row:
    done = subprocess.run(
        [sys.executable, "-m", "agent", *command], cwd=REPO, capture_output=True, text=True, timeout=120
    )
    if done.returncode:
        return {"error": done.stderr.strip()[-300:]}
    answer = json.loads(done.stdout)
    answer = answer[0] if isinstance(answer, list) else answer
    order = [candidate["service"] for candidate in answer["candidates"]]
    first = [
        {
            "service": one["service"],
            "probability": round(one["probability"] or 0.0, 3),
            "evidence": one["evidence"],
        }
        for one in answer["candidates"][:2]
    ]
    place = next((place for place, one in enumerate(order, 1) if one in _right(row)), None)
    return {"verdict": answer["verdict"], "place": place, "first": first}


def summary(rows: Sequence[Row]) -> dict[str, Any]:
    """Per service and per pod: how often the culprit is first, or a healthy shop has no suspect."""
    return {by: _summary([row for row in rows if row["by"] == by]) for by in BY}


def _summary(rows: Sequence[Row]) -> dict[str, Any]:
    faulty, healthy = [row for row in rows if row["root"]], [row for row in rows if not row["root"]]
    return {
        "faulty": len(faulty),
        "culprit_first": _share(sum(row.get("place") == 1 for row in faulty), len(faulty)),
        **{
            f"culprit_first_by_{who}": _share(
                sum(row.get("investigated", {}).get(who, {}).get("is_first", False) for row in faulty),
                len(faulty),
            )
            for who in ("rules", "model")
        },
        "culprit_in_first_three": _share(sum((row.get("place") or 99) <= 3 for row in faulty), len(faulty)),
        "healthy": len(healthy),
        "nobody": _share(sum(row.get("verdict") == "nobody" for row in healthy), len(healthy)),
        "no_culprit_named": _share(sum(row.get("verdict") != "culprit" for row in healthy), len(healthy)),
        "slowest_s": max((row["seconds"] for row in rows), default=None),
    }


def _share(part: int, whole: int) -> float | None:
    return round(part / whole, 3) if whole else None


def _text(value: object) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    sys.exit(main())
