"""Speed of the shipped ranker, from 10 to 100,000 services, compared with the heuristic; JSON lines."""

import json
import resource
import statistics
import time
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from bench_machine import machine

from data.incident import Incident
from data.observation import Observation, Service
from gnn.baselines.heuristic import HeuristicRanker
from gnn.features.featurize import featurize
from gnn.registry import make_ranker


def observed(services: int, seed: int = 0, calls_each: int = 3) -> Observation:
    """A layered graph in which every service calls a few in later layers."""
    rng = np.random.default_rng(seed)
    names = [f"s{i}" for i in range(services)]
    graph = {
        name: tuple({names[j] for j in rng.integers(i + 1, services, calls_each)}) if i + 1 < services else ()
        for i, name in enumerate(names)
    }
    figures = rng.random((services, 4))
    table = {
        name: Service.model_validate(
            {
                "status": "healthy",
                "http_server_error_rate": 0.02 * row[0],
                "http_server_request_duration_p99": 0.1 + 0.1 * row[1],
                "process_memory_utilization": 0.3 + 0.1 * row[2],
                "process_cpu_utilization": 0.1 + 0.1 * row[3],
            }
        )
        for name, row in zip(names, figures.tolist(), strict=True)
    }
    return Observation(services=table, call_graph=graph)


def median_ms(work: Callable[[], object], runs: int) -> float:
    """Median wall time of a call, after one warm-up call."""
    work()
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return round(1000 * statistics.median(times), 3)


def callers_of(name: str, names: Sequence[str], graph: Mapping[str, Sequence[str]]) -> int:
    """The slow reference: for one service, a separate search from every other service."""

    def reaches(start: str) -> bool:
        seen, stack = {start}, [start]
        while stack:
            for callee in graph.get(stack.pop(), ()):
                if callee == name:
                    return True
                if callee not in seen:
                    seen.add(callee)
                    stack.append(callee)
        return False

    return sum(reaches(other) for other in names if other != name)


def main() -> None:
    print(json.dumps({"machine": machine(), "command": "python tests/bench_gnn.py"}))
    gnn, heuristic = make_ranker("gnn"), HeuristicRanker()
    ten = observed(10)
    window = Incident.from_observations([ten])
    small = {
        "services": 10,
        "incident_ms": median_ms(lambda: Incident.from_observations([ten]), 300),
        "features_ms": median_ms(lambda: featurize(window), 300),
        "ranking_ms": median_ms(lambda: gnn.rank(window), 300),  # features, network and evidence
        "heuristic_ms": median_ms(lambda: heuristic.rank(window), 300),
    }
    print(json.dumps(small))

    three_thousand = observed(3_000)
    window = Incident.from_observations([three_thousand])
    gnn_ms = median_ms(lambda: gnn.rank(window), 5)
    sample = [*three_thousand.services][:: 3_000 // 10]  # the yardstick on every 300th service, scaled up
    start = time.perf_counter()
    graph = three_thousand.call_graph
    for name in sample:
        callers_of(name, [*three_thousand.services], graph)
    yardstick_ms = 1000 * (time.perf_counter() - start) * 3_000 / len(sample)
    print(
        json.dumps(
            {
                "services": 3_000,
                "ranking_ms": gnn_ms,
                "heuristic_ms": median_ms(lambda: heuristic.rank(window), 3),
                "all_pairs_heuristic_ms": round(yardstick_ms),
                "times_faster": round(yardstick_ms / gnn_ms),
            }
        )
    )

    huge = Incident.from_observations([observed(100_000)])
    print(
        json.dumps(
            {
                "services": 100_000,
                "calls": sum(len(callees) for callees in huge.call_graph.values()),
                "ranking_ms": median_ms(lambda: gnn.rank(huge), 1),
                "peak_memory_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
            }
        )
    )


if __name__ == "__main__":
    main()
