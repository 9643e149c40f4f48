"""Measures how hard the default hard worlds are: networks and simple scores at the first observations.

hardness.py > checkpoints/results/hardness.json
"""

import json
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from bench_machine import machine

from agent.records.provenance import git_revision
from data.incident import Incident
from data.observation import Action, Observation, parse
from data.simulator.config import Script
from data.simulator.world.scenario import set_up
from data.simulator.world.world import RunningEpisode
from gnn.evaluation.evaluate import RankingCase, Source, evaluate
from gnn.graph_ranker import load_ranker
from gnn.network.model import Convolution, ModelConfig
from gnn.ranker import Candidate, Ranker, Ranking
from gnn.registry import make_ranker
from gnn.training.pipeline import train_checkpoint
from gnn.training.train import TrainConfig
from gnn.training.training_job import TrainingJob

OBSERVATIONS = 3
TRAIN_SEEDS, TEST_SEEDS = range(900), range(100_000, 100_400)
# Half of all innocents lack metrics like the root cause, so that lacking them doesn't give it away.
HIDDEN = Script(dials={"blind_root": 1.0, "blind_elsewhere": 0.5})
# An action without effect, so that no fetched log gives anything away.
WAIT = Action(action_type="escalate")
TRAINING = {"epochs": 8, "batch_graphs": 48, "device": "cpu"}
HIDDEN_WIDTH = 48
KEPT = ("source", "ranker", "n", "unscored", "ac@1", "ac@3", "mrr", "chance", "ci95")
NETS: dict[str, Convolution] = {"gnn": "edge", "mlp": "none"}
PLAIN = ("heuristic", "zscore", "zscore-sum", "pagerank", "random")


class AnyUnmeasured:
    """Suspects all unmeasured services equally, to show how far lacking metrics gives the root cause away."""

    name = "any unmeasured service"

    def rank(self, incident: Incident) -> Ranking:
        last = incident.observations[-1].services
        unmeasured = [name for name in incident.services if last[name].status == "unknown"]
        return Ranking(tuple(Candidate(name, 1.0) for name in unmeasured), self.name)


def windows(seeds: Iterable[int], script: Script | None = None) -> Iterator[Incident]:
    """Each hard episode up to its first, second and third observation."""
    for seed in seeds:
        episode = RunningEpisode(set_up("hard", seed, None, script))
        names = episode.setup.topology.names
        roots = [names[fault.service] for fault in episode.setup.faults]
        fault = "+".join(fault.family.name for fault in episode.setup.faults)
        answers = [episode.reset_answer()]
        while len(answers) < OBSERVATIONS and not episode.done:
            answers.append(episode.step(WAIT))
        seen = [parse(Observation, answer["observation"], f"hard/{seed}") for answer in answers]
        for last in range(len(seen)):
            window = Incident.from_observations(seen[: last + 1], f"hard/{seed}@{last}")
            yield window.labelled(roots, fault, system="hard")


def nothing_measured(incident: Incident) -> bool:
    """Whether no root cause has any metric."""
    first = incident.observations[0].services
    return all(first[root].status == "unknown" for root in incident.root_causes)


def case_of(window: Incident) -> RankingCase:
    """A case, reported under the number of its last observation."""
    seed, _, last = window.incident_id.partition("@")
    return RankingCase(window, cluster=seed, tick=int(last))


def trained(name: str, learnt: Sequence[Incident], folder: Path) -> Ranker:
    """A network trained on these incidents only."""
    config = TrainConfig(model=ModelConfig(convolution=NETS[name], hidden=HIDDEN_WIDTH), **TRAINING)
    train_checkpoint(TrainingJob(config=config, out=folder / name, incidents=learnt))
    return load_ranker(folder / name, name)


def arm(name: str, learnt: Sequence[Incident], tested: Sequence[Incident]) -> list[dict[str, Any]]:
    """The results of every ranker on `tested`."""
    with tempfile.TemporaryDirectory() as folder:
        nets = [trained(net, learnt, Path(folder)) for net in NETS]
        plain = [make_ranker(ranker) for ranker in PLAIN]
        source = Source(name, tuple(case_of(window) for window in tested))
        rankers = [(ranker, None) for ranker in (*nets, *plain, AnyUnmeasured())]
        results = evaluate(rankers, [source])
    return [
        {
            **{key: each[key] for key in KEPT},
            "by_tick": {tick: {"ac@1": found["ac@1"]} for tick, found in each["by_tick"].items()},
        }
        for each in (result.record() for result in results)
    ]


def main() -> None:
    started = time.perf_counter()
    results = arm("hard", list(windows(TRAIN_SEEDS)), list(windows(TEST_SEEDS)))
    hidden = [
        [w for w in windows(seeds, HIDDEN) if nothing_measured(w)] for seeds in (TRAIN_SEEDS, TEST_SEEDS)
    ]
    results += arm("hard, nothing measured at the culprit", *hidden)
    config = {
        "train_seeds": [TRAIN_SEEDS.start, TRAIN_SEEDS.stop],
        "test_seeds": [TEST_SEEDS.start, TEST_SEEDS.stop],
        "observations": OBSERVATIONS,
        "hidden_dials": dict(HIDDEN.dials),
        "training": {**TRAINING, "hidden": HIDDEN_WIDTH},
        "command": "tests/studies/hardness.py",
        "machine": machine(),
        "seconds": round(time.perf_counter() - started),
    }
    print(json.dumps({"results": results, "config": config, "git": git_revision()}, indent=1))


if __name__ == "__main__":
    main()
