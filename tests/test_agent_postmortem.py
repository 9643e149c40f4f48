"""A post-mortem says what happened, and quoted text cannot change it."""

import asyncio
from pathlib import Path

import pytest
from toy_world import RANKER, ROOT, ToyEnvironment, toy_task

from agent.play.episode import EpisodeResult, play_task
from agent.records.postmortem import PostMortems, file_name, post_mortem
from agent.situation.decision import Decision, Situation
from agent.terminal_text import markdown_text
from data.observation import Action, Step

LOOK = Action(action_type="fetch_logs", target_service=ROOT)


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
    assert "Solved with score 0.90 in 3 steps; users were no longer affected at tick 4." in text
    assert "1 remedy sent." in text
    assert f"According to the environment: `{ROOT}`." in text
    assert f"- Step 1, `restart_service:{ROOT}`: errors 0.60 → errors 0.00." in text


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
    assert [path.name for path in (tmp_path / "post-mortems").iterdir()] == [
        f"{file_name(toy_task(1).name)}.md"
    ]


def test_no_two_tasks_share_a_file_and_no_name_is_too_long() -> None:
    names = ["a/b", "a_b", "a:b", "x" * 300, "x" * 301, "plain-task.1"]
    files = [file_name(name) for name in names]
    assert len(set(files)) == len(files) and max(map(len, files)) < 100
    assert files[1] == "a_b" and files[-1] == "plain-task.1"


def test_a_remedy_after_which_nothing_changed_is_not_credited() -> None:
    class Stays(ToyEnvironment):
        async def step(self, action: Action) -> Step:
            mends = action.action_type == "restart_service"
            return await super().step(LOOK if mends else action)

    result = asyncio.run(play_task(Stays(), RANKER, Mender(), toy_task(1), 10.0, lambda step: None))
    assert f"`restart_service:{ROOT}`: " in post_mortem(result) and "it did not help." in post_mortem(result)
    assert "did not help" not in post_mortem(played())


@pytest.mark.parametrize(
    "text",
    ["see https://evil.example", "www.evil.example", "@oncall help", "a@b.example", "fixes #12", "[x](y) @z"],
)
def test_markdown_links_to_nothing_and_mentions_nobody(text: str) -> None:
    assert markdown_text(text) == f"`{text}`"


def test_markdown_leaves_ordinary_text_readable() -> None:
    assert markdown_text("db: error rate 0.9 (was 0.01), p99 2.0 s – restarted") == (
        "db: error rate 0.9 (was 0.01), p99 2.0 s – restarted"
    )
    assert markdown_text("a|b <i>\x1b[31m\u202e*x*") == "a\\|b \\<i\\> \\[31m \\*x\\*"
