"""Time and memory of `firewatch diagnose` on a large system: 5,000 services, 20,000 calls, 75 points.

python tests/bench_live.py [SERVICES CALLS]   (asks a real Prometheus that promtool has filled)
"""

import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
from bench_machine import machine
from testbed.debian import program
from testbed.shop import free_ports, start_prometheus

START_S, STEP_S, POINTS = 1_780_000_000, 60, 75
GAUGES = 18  # of each service, beside requests, durations, processor and memory


def main() -> None:
    services, calls = (int(word) for word in sys.argv[1:3]) if len(sys.argv) > 2 else (5000, 20_000)
    with tempfile.TemporaryDirectory() as folder:
        url, process = filled(Path(folder), services, calls)
        try:
            print(json.dumps({"machine": machine(), **measured(url)}, indent=2))
        finally:
            process.kill()
            process.wait()


def measured(url: str) -> dict[str, object]:
    """One diagnosis in its own process: wall time, CPU time and memory."""
    began = time.monotonic()
    at = str(START_S + STEP_S * (POINTS - 1))
    words = ["diagnose", "--prometheus", url, "--window", "15m", "--baseline", "1h", "--at", at]
    command = [sys.executable, "-m", "agent", *words, "--timeout", "5m", "--json", "-", "-q"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    assert process.stdout is not None
    answer = json.loads(process.stdout.read())
    _, _, used = os.wait4(process.pid, 0)
    return {
        "services": len(answer["candidates"]), "first": answer["candidates"][0]["service"],
        "notes": answer["notes"], "seconds": time.monotonic() - began,
        "own_cpu_seconds": used.ru_utime + used.ru_stime, "peak_gb": used.ru_maxrss / 1e6,
    }  # fmt: skip


def filled(folder: Path, services: int, calls: int) -> tuple[str, "subprocess.Popen[bytes]"]:
    """A Prometheus with data of a large system in which one service fails."""
    with (folder / "all.om").open("w") as file:
        file.writelines(lines(services, calls))
        file.write("# EOF\n")
    promtool = program("promtool", "prometheus")
    subprocess.run(
        [promtool, "tsdb", "create-blocks-from", "openmetrics", folder / "all.om", folder / "data"],
        check=True, capture_output=True,
    )  # fmt: skip
    (folder / "prometheus.yml").write_text("global: {}\n")
    [port] = free_ports(1)
    process = start_prometheus(folder / "data", port, folder / "prometheus.yml", folder / "log")
    url = f"http://127.0.0.1:{port}"
    while True:
        try:
            if httpx.get(f"{url}/-/ready").status_code == 200:
                return url, process
        except httpx.TransportError:
            pass
        time.sleep(0.2)


def lines(services: int, calls: int) -> Iterator[str]:
    rng = random.Random(0)
    sick = 7
    for i in range(services):
        own = f'service_name="s{i}"'
        rate, mean = rng.uniform(5, 50), rng.uniform(0.01, 0.2)
        yield from counter(f'http_server_request_duration_seconds_count{{{own},code="200"}}', rate, rng)
        yield from counter(
            f'http_server_request_duration_seconds_sum{{{own},code="200"}}', rate * mean, rng, i == sick
        )
        for bound, share in (("0.1", 0.5), ("1", 0.99), ("+Inf", 1.0)):
            bucket = f'http_server_request_duration_seconds_bucket{{{own},code="200",le="{bound}"}}'
            yield from counter(bucket, rate * share, rng)
        yield from counter(f"process_cpu_seconds_total{{{own}}}", 0.3, rng, i == sick)
        yield from gauge(f"process_resident_memory_bytes{{{own}}}", 1e8, rng, i == sick)
        for metric in range(GAUGES):
            yield from gauge(f"pool_{metric}_connections_active{{{own}}}", 10, rng)
    for place in rng.sample(range(services * services), calls):
        client, server = divmod(place, services)
        pair = f'client="s{client}",server="s{server}"'
        rate = rng.uniform(1, 10)
        yield from counter(f"traces_service_graph_request_total{{{pair}}}", rate, rng)
        for side in ("client", "server"):
            base = f"traces_service_graph_request_{side}_seconds"
            yield from counter(f"{base}_count{{{pair}}}", rate, rng)
            yield from counter(f"{base}_sum{{{pair}}}", rate * 0.05, rng)


def counter(series: str, rate: float, rng: random.Random, sick: bool = False) -> Iterator[str]:
    total = 0.0
    for i in range(POINTS):
        total += rate * STEP_S * rng.uniform(0.9, 1.1) * (8 if sick and i > POINTS - 12 else 1)
        yield f"{series} {total:.5g} {START_S + i * STEP_S}\n"


def gauge(series: str, value: float, rng: random.Random, sick: bool = False) -> Iterator[str]:
    for i in range(POINTS):
        level = value * rng.uniform(0.9, 1.1) * (8 if sick and i > POINTS - 12 else 1)
        yield f"{series} {level:.5g} {START_S + i * STEP_S}\n"


if __name__ == "__main__":
    main()
