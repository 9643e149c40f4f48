"""Laws of alert frequencies: learnt without labels, and without effect if nothing is usual."""

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from data.incident import AlertEvent, Incident, Series
from gnn.checkpoint import read_card
from gnn.features.featurize import featurize
from gnn.graph_ranker import load_ranker
from gnn.network.model import ModelConfig
from gnn.per_system.alert_frequencies import (
    FILE,
    MEAN,
    AlertFrequencies,
    AlertFrequenciesError,
    load_alert_frequencies,
    raised_in,
    save_alert_frequencies,
)
from gnn.per_system.system_ensemble import UNLABELLED, SystemEnsemble, log_softmax
from gnn.registry import make_ranker, shipped
from gnn.training.pipeline import train_checkpoint
from gnn.training.train import TrainConfig
from gnn.training.training_job import TrainingError, TrainingJob

SERVICES = ("front", "cart", "stock", "mail")
CALLS = {"front": ("cart", "mail"), "cart": ("stock",)}


def incident(number: int, *alerts: AlertEvent, system: str = "shop") -> Incident:
    return Incident(f"{system}-{number}", SERVICES, CALLS, alerts=alerts, system=system)


def log(service: str, name: str) -> AlertEvent:
    return AlertEvent(service, "log", name, "up")


def noisy(number: int, *alerts: AlertEvent) -> Incident:
    """Mailer has alerts in every incident."""
    return incident(number, *(log("mail", f"retry {kind}") for kind in "abc"), *alerts)


@pytest.fixture(scope="module")
def past() -> list[Incident]:
    return [noisy(number, log("cart", "slow")) for number in range(20)]


@pytest.fixture(scope="module")
def frequencies(past: list[Incident]) -> AlertFrequencies:
    return AlertFrequencies.of(past)


def test_surprise_is_the_mean_information_of_the_five_most_surprising_signs(
    frequencies: AlertFrequencies,
) -> None:
    new, usual = -math.log(0.5 / 21), -math.log(20.5 / 21)
    now = noisy(99, log("stock", "disk full"), log("stock", "disk full"), log("cart", "slow"))
    assert frequencies.surprises(now)[:, MEAN] == pytest.approx([0.0, usual / 5, new / 5, usual * 3 / 5])
    loud = noisy(99, *(log("stock", f"error {kind}") for kind in "abcde"), log("stock", "slow"))
    assert frequencies.surprises(loud)[2, MEAN] == pytest.approx(new)
    assert frequencies.surprises(loud)[2] == pytest.approx([new, new, 6 * new, 0.0, 0.0, new])
    signs = frequencies.signs("stock", raised_in(loud)["stock"])
    assert [sign.name for sign in signs][:2] == ["log error a up", "log error b up"]
    never_heard_of = AlertFrequencies().surprises(now)[:, MEAN]
    assert never_heard_of == pytest.approx(np.array([0.0, 1.0, 1.0, 3.0]) * math.log(2) / 5)


def test_the_past_is_read_alike_from_a_history_and_from_the_incident(
    tmp_path: Path, past: list[Incident]
) -> None:
    frequencies = AlertFrequencies.of(past)
    now = noisy(99, log("stock", "disk full"), log("cart", "slow"))
    train_checkpoint(TrainingJob(CONFIG, tmp_path, history=past, init=shipped("ranker")))
    knows, plain = load_ranker(tmp_path), make_ranker("gnn")
    told = frequencies.with_routine(now)
    assert told.routine[log("cart", "slow")] == pytest.approx(20.5 / 21)
    assert told.routine[log("stock", "disk full")] == pytest.approx(0.5 / 21)
    one, other = knows.rank(now), plain.rank(told)
    assert one.services[0] == other.services[0] == "stock"
    assert [c.probability for c in one.candidates] == pytest.approx(
        [c.probability for c in other.candidates], abs=1e-6
    )
    assert plain.rank(now).services[0] != "stock"


def test_who_calls_makes_another_sign() -> None:
    slow = [AlertEvent("stock", "trace", "get", "PD", caller) for caller in ("cart", "mail")]
    known = AlertFrequencies.of([incident(number, slow[0]) for number in range(20)])
    first, second = (known.surprises(incident(99, one))[2, MEAN] for one in slow)
    assert second > first + 0.7


def test_what_a_known_root_raises_is_not_usual_of_it(past: list[Incident]) -> None:
    rooted = [noisy(number, log("cart", "slow")).labelled(["cart"]) for number in range(20)]
    assert "cart" not in AlertFrequencies.of(rooted).past
    assert AlertFrequencies.of(rooted).past["mail"] == 20
    now = noisy(99, log("cart", "slow"))
    assert (
        AlertFrequencies.of([*past, *rooted]).surprises(now)[1, MEAN]
        == AlertFrequencies.of(past).surprises(now)[1, MEAN]
    )


def test_a_past_incident_is_judged_by_the_others(past: list[Incident]) -> None:
    rooted = noisy(99, log("stock", "disk full")).labelled(["stock"])
    for one in (past[0], rooted):
        others = [each for each in (*past, rooted) if each is not one]
        all_of_them = AlertFrequencies.of([*past, rooted])
        assert np.array_equal(
            all_of_them.surprises(one, counted=True), AlertFrequencies.of(others).surprises(one)
        )


@pytest.mark.parametrize("order", [[3, 2, 1, 0], [1, 0, 3, 2]])
def test_order_and_names_do_not_matter(past: list[Incident], order: list[int]) -> None:
    now = noisy(99, log("stock", "disk full"), log("cart", "slow"))
    before = AlertFrequencies.of(past).surprises(now)[:, MEAN]
    moved = replace(now, services=tuple(SERVICES[i] for i in order), alerts=now.alerts[::-1])
    assert AlertFrequencies.of(past[::-1]).surprises(moved)[:, MEAN] == pytest.approx(before[order])

    def renamed(one: Incident) -> Incident:
        alerts = tuple(replace(alert, service=f"x-{alert.service}") for alert in one.alerts)
        return replace(one, services=tuple(f"x-{name}" for name in one.services), alerts=alerts)

    assert AlertFrequencies.of(map(renamed, past)).surprises(renamed(now))[:, MEAN] == pytest.approx(before)


def test_evidence_without_alerts_has_no_frequencies(past: list[Incident]) -> None:
    series = {"cart": {"cpu_usage": Series(np.ones(3), np.zeros(3))}}
    silent = replace(incident(0), telemetry=series)
    assert AlertFrequencies.of([silent]) == AlertFrequencies()
    assert not AlertFrequencies.of(past).surprises(silent)[:, MEAN].any()
    assert AlertFrequencies().knows(Incident("bare", (), {})) == 0.0


def test_frequencies_turn_the_network_only_at_home(frequencies: AlertFrequencies) -> None:
    ensemble = SystemEnsemble(frequencies)
    now = noisy(99, log("stock", "disk full"))
    logits = np.array([0.0, 0.0, 1.0, 1.2])
    assert ensemble.blend(logits, now, featurize(now)).argmax() == 2
    abroad = replace(now, services=tuple(f"x-{name}" for name in SERVICES))
    silent = incident(98)
    for other in (abroad, silent):
        assert ensemble.blend(logits, other, featurize(other)) == pytest.approx(log_softmax(logits))


def test_a_file_reads_back_and_a_spoilt_one_is_refused(tmp_path: Path, frequencies: AlertFrequencies) -> None:
    with pytest.raises(AlertFrequenciesError, match=f"{FILE} is missing – .*firewatch train"):
        load_alert_frequencies(tmp_path)
    save_alert_frequencies(frequencies, tmp_path)
    assert load_alert_frequencies(tmp_path) == frequencies
    told = json.loads((tmp_path / FILE).read_text(encoding="utf-8"))
    spoilt: dict[str, Callable[[], str]] = {
        "cannot be read": lambda: "{",
        "past.cart": lambda: json.dumps({**told, "past": {"cart": -1}}),
        "where it was not": lambda: json.dumps({**told, "past": {}}),
        "past.cart.*inf$|is inf": lambda: json.dumps({**told, "past": {"cart": 10**400}}),
        "past.cart.*inf": lambda: json.dumps({**told, "past": {"cart": 0}}).replace("0", "9" * 5000),
        "no such field": lambda: json.dumps({**told, "names": []}),
    }
    for reason, text in spoilt.items():
        (tmp_path / FILE).write_text(text(), encoding="utf-8")
        with pytest.raises(AlertFrequenciesError, match=reason) as refused:
            load_alert_frequencies(tmp_path)
        assert "firewatch train" in str(refused.value)


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory, past: list[Incident]) -> Path:
    """A checkpoint that has not seen any real system."""
    folder = tmp_path_factory.mktemp("start")
    few = [one.labelled([SERVICES[number % 4]], system="elsewhere") for number, one in enumerate(past[:6])]
    train_checkpoint(TrainingJob(CONFIG, folder, incidents=few))
    return folder


CONFIG = TrainConfig(model=ModelConfig(hidden=8, layers=1), epochs=2, device="cpu")


def test_past_incidents_alone_leave_the_network_as_it_is(
    tmp_path: Path, start: Path, past: list[Incident]
) -> None:
    card, _ = train_checkpoint(TrainingJob(CONFIG, tmp_path, history=past, init=start))
    before, after = read_card(start), read_card(tmp_path)
    assert after == card
    assert (after.pool, after.history) == (UNLABELLED, {"shop": 20})
    assert (after.trained_on, after.metrics, after.temperature) == (
        before.trained_on,
        before.metrics,
        before.temperature,
    )
    assert (tmp_path / "model.safetensors").read_bytes() == (start / "model.safetensors").read_bytes()
    now = noisy(99, log("stock", "disk full"))
    told = {each.service: each for each in load_ranker(tmp_path).rank(now).candidates}
    assert (told["stock"].probability or 0.0) > (told["mail"].probability or 0.0)
    assert "unusual here: log disk full up, in 0 of 20 past incidents" in map(str, told["stock"].evidence)
    assert not any("unusual" in sentence.text for sentence in told["mail"].evidence)
    assert load_ranker(tmp_path).scores(Incident("empty", (), {})).shape == (0,)
    again, _ = train_checkpoint(TrainingJob(CONFIG, tmp_path, history=past[:5], init=tmp_path))
    assert again.history == {"shop": 5} and load_alert_frequencies(tmp_path).past["mail"] == 5


def test_past_incidents_that_say_nothing_are_refused(tmp_path: Path, start: Path) -> None:
    with pytest.raises(TrainingError, match="no alerts"):
        train_checkpoint(TrainingJob(CONFIG, tmp_path, history=[incident(1)], init=start))


def labelled(count: int) -> list[Incident]:
    """The root cause has a new alert each time."""
    return [
        noisy(1000 + number, log(SERVICES[number % 3], f"fault {number}")).labelled([SERVICES[number % 3]])
        for number in range(count)
    ]


def test_few_labels_leave_the_say_of_frequencies_as_without_any(
    tmp_path: Path, start: Path, past: list[Incident]
) -> None:
    card, _ = train_checkpoint(TrainingJob(CONFIG, tmp_path, incidents=labelled(4), history=past, init=start))
    assert card.pool == UNLABELLED and card.trained_on == {"shop": 4} and card.history == {"shop": 20}
    assert load_alert_frequencies(tmp_path).past["mail"] == 24
    card, _ = train_checkpoint(TrainingJob(CONFIG, tmp_path, incidents=labelled(4), init=start))
    assert card.pool is None and not (tmp_path / FILE).exists()


def test_frequencies_that_mislead_on_the_few_labels_are_not_heard(
    tmp_path: Path, start: Path, past: list[Incident]
) -> None:
    misled = [noisy(2000 + n, log("stock", f"new {n}")).labelled(["mail"]) for n in range(4)]
    card, _ = train_checkpoint(TrainingJob(CONFIG, tmp_path, incidents=misled, history=past, init=start))
    assert card.pool is None and card.history == {} and not (tmp_path / FILE).exists()


def test_past_incidents_go_with_one_system_only(tmp_path: Path, past: list[Incident]) -> None:
    with pytest.raises(TrainingError, match="one system"):
        train_checkpoint(
            TrainingJob(CONFIG, tmp_path, incidents=labelled(4), simulated=labelled(1), history=past)
        )


def test_labels_say_how_much_frequencies_count(tmp_path: Path, start: Path, past: list[Incident]) -> None:
    card, _ = train_checkpoint(TrainingJob(CONFIG, tmp_path, incidents=labelled(24), history=past))
    assert card.pool is not None and card.pool.frequencies > 0.0
    assert load_alert_frequencies(tmp_path).past["mail"] == 44
    asked = labelled(40)[30:]
    ranker = load_ranker(tmp_path)
    assert all(ranker.rank(one).services[0] in one.root_causes for one in asked)
    with pytest.raises(TrainingError, match="--incidents, beside --history"):
        train_checkpoint(TrainingJob(CONFIG, tmp_path / "again", history=past, init=tmp_path))
