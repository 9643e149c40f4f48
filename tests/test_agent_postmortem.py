"""A post-mortem tells what happened and takes no orders from what it quotes."""

import asyncio
from pathlib import Path

from toy_world import RANKER, ROOT, ToyEnvironment, toy_task

from agent.play.episode import EpisodeResult, play_task
from agent.records.postmortem import PostMortems, post_mortem
from agent.situation.decision import Decision, Situation
from data.observation import Action


class Mender:
    name = "rules"

    async def decide(self, situation: Situation) -> Decision:
        kinds = [("restart_service", ROOT), ("fetch_logs", "api-gateway"), ("declare_resolved", None)]
        kind, target = kinds[min(len(situation.steps), 2)]
        reason = "it | fails\n\n# <b>badly</b>"
        return Decision(Action(action_type=kind, target_service=target), "rules", reason=reason)


def played() -> EpisodeResult:
    return asyncio.run(play_task(ToyEnvironment(), RANKER, Mender(), toy_task(1), 10.0, lambda step: None))


def test_it_tells_root_cause_timeline_and_what_helped() -> None:
    text = post_mortem(played())
    assert "Solved with score 0.90 in 3 steps; users were relieved at tick 4. 1 remedy sent." in text
    assert f"By the environment: `{ROOT}`." in text
    assert f"- Step 1, `restart_service:{ROOT}`: 60% errors and p99 0.00 s before, 0% errors" in text


def test_every_row_of_the_timeline_has_its_cells_whatever_it_quotes() -> None:
    rows = [line for line in post_mortem(played()).splitlines() if line.startswith("|")]
    assert len(rows) == 5
    assert {row.replace("\\|", "").count("|") for row in rows} == {8}
    assert all("<b>" not in row for row in rows)


def test_one_file_a_graded_task(tmp_path: Path) -> None:
    listener = PostMortems(tmp_path / "post-mortems")
    result = played()
    listener.task_ended(result)
    listener.task_ended(EpisodeResult(toy_task(2), interrupted=True))
    assert [path.name for path in (tmp_path / "post-mortems").iterdir()] == ["toy_1.md"]
