"""Stored episodes are read back, and recorded traffic becomes episodes or says why not."""

import gzip
import json
import random

import pytest

from data.actions import is_remedy
from data.episodes import Episode, EpisodeStore, read_episodes, replay
from data.errors import SchemaError
from data.files import jsonl
from data.observation import Action, parse

META = {"task_id": None, "difficulty": "easy", "seed": 3, "max_ticks": 20, "policy": "expert"}


def answer(tick, **services):
    observation = {"services": services or {"db": {"status": "down", "odd": "kept"}}, "sim_tick": tick}
    return {
        "observation": observation,
        "reward": 0.1,
        "done": False,
        "info": {"action_feedback": f"fb {tick}"},
    }


def exchange(path, request, response, status=200):
    return {"method": "POST", "path": path, "request": request, "status": status, "response": response}


def step(action_type, response, target="db", status=200):
    request = {"action": {"action_type": action_type, "target_service": target}}
    return exchange("/step", request, response, status)


def recording(*exchanges, **meta):
    return list(enumerate([{"meta": META | meta}, *exchanges], start=1))


def test_recorded_traffic_becomes_an_episode_and_what_does_not_fit_is_named():
    lines = recording(
        exchange("/health", None, {"status": "ok"}),
        step("fetch_logs", answer(0)),
        exchange("/reset", {"seed": 3}, answer(0)),
        step("fetch_logs", answer(1)),
        step("sing", {"detail": []}, status=422),
        exchange("/step", {}, {"done": False, "metadata": {"error": "Invalid request"}}),
        step("restart_service", {"observation": {"services": {}}, "done": False}),
        step("restart_service", answer(2) | {"info": {"episode_score": 0.75, "action_feedback": "done"}}),
        exchange("/step", "restart", answer(2)),
        exchange("/reset", {"seed": 3}, answer(0)),
        step("fetch_logs", answer(1)),
        root_causes=["db"],
        fault_types=["oom"],
    )
    result = replay(lines, "folder/some.jsonl.gz")
    episode = result.episode
    assert episode.task.name == "easy/3" and episode.source == "some.jsonl.gz" and episode.policy == "expert"
    assert [observation.sim_tick for observation in episode.observations] == [0, 1, 2]
    assert [str(action) for action in episode.actions] == ["fetch_logs:db", "restart_service:db"]
    assert episode.feedback == ("fb 1", "done") and episode.score == 0.75
    assert episode.labels.root_causes == ("db",) and episode.labels.origin == "recorded"
    reasons = dict(result.left_out)
    assert set(reasons) == {2, 3, 6, 7, 8, 10, 11}
    assert "only /reset and /step" in reasons[2] and reasons[3] == "a step before the reset"
    assert "refused" in reasons[6] and "observation" in reasons[7] and "no services" in reasons[8]
    assert "an object" in reasons[10] and reasons[11].startswith("a second reset")


def test_recordings_of_no_episode_say_so():
    noted = replay([(1, {"meta": {"note": "malformed calls"}})], "x")
    assert noted.episode is None and "not the recording of one episode" in noted.left_out[0][1]
    assert replay(recording(), "x").left_out == ((1, "no reset that started an episode"),)


def test_every_recorded_file_is_an_episode_but_the_errors(shared, caplog):
    with caplog.at_level("INFO"):
        episodes = read_episodes(shared / "firewatch" / "traffic")
    assert len(episodes) == 168
    assert [record.message for record in caplog.records if "errors.jsonl.gz" not in record.message] == []
    assert all(episode.labels and episode.score is not None for episode in episodes)
    assert {episode.policy for episode in episodes} == {"expert", "rules"}


def test_what_is_stored_is_read(tmp_path, shared):
    recorded = read_episodes(shared / "firewatch" / "traffic")
    chosen = random.Random(0).sample(recorded, 5)
    store = EpisodeStore(tmp_path / "store" / "episodes.jsonl")
    assert store.read() == ()
    for episode in chosen:
        store.append(episode)
    assert store.read() == tuple(chosen)
    assert read_episodes(tmp_path / "store") == tuple(chosen)


def _episode():
    lines = recording(
        exchange("/reset", {}, answer(0)), step("fetch_logs", answer(1)), step("restart_service", answer(2))
    )
    return replay(lines, "made").episode


def test_a_round_trip_keeps_unknown_metrics():
    episode = _episode()
    assert parse(Episode, json.loads(json.dumps(episode.to_wire())), "test") == episode
    assert episode.observations[0].services["db"].metrics["odd"] == "kept"


def test_a_folder_may_hold_stores_and_recordings(tmp_path):
    jsonl.append(tmp_path / "a.jsonl", _episode().to_wire())
    text = "\n".join(json.dumps(line) for _, line in recording(exchange("/reset", {}, answer(0))))
    (tmp_path / "b.jsonl.gz").write_bytes(gzip.compress(text.encode()))
    assert [episode.source for episode in read_episodes(tmp_path)] == ["made", "b.jsonl.gz"]


def test_a_bad_record_is_refused_with_file_line_and_field(tmp_path):
    path = tmp_path / "a.jsonl"
    jsonl.append(path, _episode().to_wire())
    jsonl.append(path, _episode().to_wire() | {"feedback": []})
    with pytest.raises(SchemaError, match=r"a\.jsonl:2: .* one observation more"):
        read_episodes(path)


def test_observations_before_the_first_remedy():
    assert [o.sim_tick for o in _episode().before_remedies] == [0, 1]
    untreated = replay(recording(exchange("/reset", {}, answer(0))), "made").episode
    assert len(untreated.before_remedies) == 1


def test_remedies_change_a_service():
    assert is_remedy(Action(action_type="restart_service", target_service="db"))
    assert not is_remedy(Action(action_type="restart_service"))
    assert not is_remedy(Action(action_type="thread_dump", target_service="db"))
    assert not is_remedy(Action(action_type="declare_resolved"))
