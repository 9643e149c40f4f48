"""The error for a bad file names the field and says what belongs there."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agent.play.config import CollectOptions
from data.channels import read_rules
from data.errors import SchemaError
from data.labels import read_labels
from data.observation import Observation, parse
from data.sources.own_form import parse_incident

BARE: dict[str, Any] = {"incident_id": "a", "call_graph": {"a": ["b"]}}


def points(values: object) -> dict[str, Any]:
    return {"telemetry": {"a": {"cpu": values}}}


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"call_graph": [["a", "b"]]}, "field 'call_graph' is [['a', 'b']] – give an object, {…}"),
        ({"call_graph": {"a": "b"}}, "field 'call_graph.a' is 'b' – give a list, […]"),
        ({"root_causes": "b"}, "field 'root_causes' is 'b' – give a list, […]"),
        ({"alerting": {"metric": "cpu"}}, "field 'alerting.node' is missing – give one"),
        ({"alerting": "b"}, "field 'alerting' is 'b' – give an object, {…}"),
        (points([1, 2]), "field 'telemetry.a.cpu' is [1, 2] – give an object, {…}"),
        (points({"incident": ["x"]}), "field 'telemetry.a.cpu.incident.0' is 'x' – give a number"),
        (points({"incident": [float("inf")]}), "incident.0' is inf – give a finite number"),
        (
            {"alerts": [{"kind": "synthetic", "service": "a", "name": "x"}]},
            "field 'alerts.0.kind' is 'synthetic' – give 'metric', 'trace' or 'log'",
        ),
        (
            {"alerts": [{"kind": "metric", "service": "a", "name": "x", "direction": "left"}]},
            " – a metric's direction is 'up', 'down' or null",
        ),
    ],
)
def test_an_incident_is_refused_in_plain_words(changed: dict[str, Any], said: str) -> None:
    with pytest.raises(SchemaError) as refused:
        parse_incident(BARE | changed, "a.jsonl:3")
    assert str(refused.value).startswith("a.jsonl:3: ") and said in str(refused.value)


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        (
            'channel = "lat"\npatterns = ["x"]',
            "field 'rule.0.channel' is 'lat' – give 'error', 'latency_mid', ",
        ),
        ('channel = "error"\npatterns = "x"', "field 'rule.0.patterns' is 'x' – give a list, […]"),
        (
            'channel = "error"\npatterns = ["x"]\nscale = 0',
            "field 'rule.0.scale' is 0 – give a number above 0",
        ),
        (
            'channel = "error"\npatterns = ["x"]\nscael = 2',
            "'rule.0.scael' is 2 – no such field is known here",
        ),
    ],
)
def test_a_rule_is_refused_in_plain_words(rule: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "rules.toml").write_text(f"[[rule]]\n{rule}\n", encoding="utf-8")
    with pytest.raises(SchemaError) as refused:
        read_rules(tmp_path / "rules.toml")
    assert said in str(refused.value)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("[1]", "got [1] – give an object, {…}"),
        ('{"i0": "payment"}', "field 'i0' is 'payment' – give a list, […]"),
        ("[" * 100_000, "got 'nested too deeply' – give {"),
        ('{"i0": ["a"]', "got 'not JSON at line 1' – give {"),
    ],
)
def test_labels_are_refused_in_plain_words(content: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "labels.json").write_text(content, encoding="utf-8")
    with pytest.raises(SchemaError) as refused:
        read_labels(tmp_path / "labels.json")
    assert said in str(refused.value) and "pydantic" not in str(refused.value)


def test_a_value_as_deep_as_python_reads_is_refused_too() -> None:
    deep: object = 1
    for _ in range(5000):
        deep = [deep]
    with pytest.raises(SchemaError, match="nested too deeply"):
        parse(CollectOptions, {"tasks": deep}, "collect.json")


def test_numbers_too_large_to_calculate_with_are_missing() -> None:
    largest = {"baseline": [1.7976931348623157e308, 1.0], "incident": [-1e308, None, 2]}
    series = parse_incident(BARE | points(largest), "a").telemetry["a"]["cpu"]
    np.testing.assert_array_equal(series.baseline, [np.nan, 1.0])
    np.testing.assert_array_equal(series.incident, [np.nan, np.nan, 2.0])
    shown = json.loads('{"services": {"a": {"cpu": 1e308, "huge": 1%s, "ok": true}}}' % ("0" * 400))
    assert parse(Observation, shown, "a").services["a"].numbers == {"ok": 1.0}
