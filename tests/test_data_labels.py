"""Labels from outcomes, on hand-made and recorded episodes, and labels from files."""

import json

import pytest

from data.episodes import Episode, Labels, read_episodes
from data.errors import SchemaError
from data.labels import apply_labels, label_from_outcome, read_labels
from data.observation import parse


def episode(ticks, actions, **fields):
    """An episode from {service: (error rate, memory)} per tick and "type:target" actions."""
    raw = {
        "task": {"difficulty": "easy", "seed": 7, "max_ticks": 20},
        "source": "test",
        "policy": "test",
        "observations": [
            {
                "services": {
                    name: {"http_server_error_rate": error, "process_memory_utilization": memory}
                    for name, (error, memory) in tick.items()
                }
            }
            for tick in ticks
        ],
        "actions": [
            dict(zip(("action_type", "target_service"), a.split(":"), strict=False)) for a in actions
        ],
        "feedback": [""] * len(actions),
        **fields,
    }
    return parse(Episode, raw, "test")


def test_the_remedied_service_that_recovers_is_the_root_cause_and_its_victim_is_not():
    played = episode(
        [
            {"db": (0.6, 0.3), "web": (0.4, 0.3)},
            {"db": (0.7, 0.3), "web": (0.5, 0.3)},  # a restart of the victim does nothing
            {"db": (0.2, 0.3), "web": (0.5, 0.3)},  # the rollback of db does
            {"db": (0.0, 0.3), "web": (0.2, 0.3)},
            {"db": (0.0, 0.3), "web": (0.0, 0.3)},  # web was healing already
        ],
        ["restart_service:web", "rollback_deploy:db", "fetch_logs:web", "restart_service:web"],
    )
    assert label_from_outcome(played) == Labels(root_causes=("db",), origin="outcome")


def test_freed_memory_counts_only_where_it_had_been_rising():
    ticks = [
        {"leaky": (0.0, 0.50), "calm": (0.1, 0.40)},
        {"leaky": (0.0, 0.65), "calm": (0.1, 0.40)},
        {"leaky": (0.0, 0.30), "calm": (0.1, 0.40)},
        {"leaky": (0.0, 0.30), "calm": (0.1, 0.20)},
    ]
    played = episode(ticks, ["fetch_logs:leaky", "scale_replicas:leaky", "scale_replicas:calm"])
    assert label_from_outcome(played) == Labels(root_causes=("leaky",), origin="outcome")


def test_what_is_no_longer_measured_has_not_recovered():
    played = episode(
        [{"db": (0.6, 0.5)}, {"db": (0.7, 0.6)}, {"db": (0.7, 0.6)}], ["fetch_logs:db", "scale_replicas:db"]
    )
    raw = played.model_dump(mode="json")
    silent, rates = ({"status": "unknown"}, {"http_server_error_rate": 0.7})
    for after in (silent, rates):
        raw["observations"][2]["services"]["db"] = after
        assert label_from_outcome(parse(Episode, raw, "test")) is None


def test_without_a_remedy_that_helped_there_is_no_label():
    ticks = [{"db": (0.6, 0.3)}, {"db": (0.1, 0.3)}]
    assert label_from_outcome(episode(ticks, ["fetch_logs:db"])) is None
    assert label_from_outcome(episode(list(reversed(ticks)), ["restart_service:db"])) is None
    assert label_from_outcome(episode(ticks, ["restart_service:ghost"])) is None
    assert label_from_outcome(episode(ticks[:1], [])) is None


def test_outcome_labels_are_right_on_the_recorded_expert(shared):
    expert = [e for e in read_episodes(shared / "firewatch" / "traffic") if e.policy == "expert"]
    assert len(expert) == 144
    labelled = [(label, e.labels) for e in expert if (label := label_from_outcome(e)) is not None]
    right = sum(set(label.root_causes) == set(truth.root_causes) for label, truth in labelled)
    assert len(labelled) >= 142  # two faults were remedied before they showed
    assert right == len(labelled)


def test_the_file_wins_over_the_environment_and_that_over_the_outcome(tmp_path):
    path = tmp_path / "labels.json"
    path.write_text(json.dumps({"easy/7": ["cache", "queue"], "task_x": []}))
    known = read_labels(path)
    assert known == {"easy/7": ("cache", "queue"), "task_x": ()}

    ticks = [{"db": (0.6, 0.3)}, {"db": (0.1, 0.3)}]
    told = episode(ticks, ["restart_service:db"], labels={"root_causes": ["web"], "origin": "environment"})
    untold = episode(ticks, ["restart_service:db"])
    assert apply_labels([told], known)[0].labels == Labels(root_causes=("cache", "queue"), origin="file")
    assert [e.labels.origin for e in apply_labels([told, untold])] == ["environment", "outcome"]
    assert apply_labels([episode(ticks, ["fetch_logs:db"])])[0].labels is None


@pytest.mark.parametrize("text", ["", "[]", '{"easy/7": "cache"}', '{"easy/7": [3]}'])
def test_other_files_are_refused(tmp_path, text):
    path = tmp_path / "labels.json"
    path.write_text(text)
    with pytest.raises(SchemaError, match=r"labels\.json"):
        read_labels(path)
    with pytest.raises(SchemaError, match="readable"):
        read_labels(tmp_path / "absent.json")
