"""Settings that make a world hard: each does what it says, and none gives the root cause away."""

from typing import Any

import numpy as np

from data.observation import Action
from data.simulator.config import Script
from data.simulator.world.scenario import set_up
from data.simulator.world.world import RunningEpisode

Services = dict[str, dict[str, Any]]
ERROR = "http_server_error_rate"
# The fields of an unmeasured service.
IDENTITY = {"service_name", "service_version", "service_instance_id", "status", "recent_logs"}
WAIT = Action(action_type="escalate")
# A hard world with all dials off.
CALM: dict[str, object] = {
    "second_fault": 0.0,
    "noise": 0.0,
    "red_herrings": 0,
    "degraded_herrings": 0.0,
    "recent_changes": 0.0,
    "missing_metrics": 0.0,
    "blind_root": 0.0,
    "missing_elsewhere": 0.0,
    "blind_elsewhere": 0.0,
    "unmonitored": 0.0,
    "stale": 0.0,
    "silent": 0.0,
    "load_shift": 0.0,
    "seasonality": 0.0,
    "lying_logs": 0.0,
}


def _episode(seed: int, **dials: object) -> RunningEpisode:
    return RunningEpisode(set_up("hard", seed, None, Script(dials={**CALM, **dials})))


def _seen(seed: int, ticks: int = 8, **dials: object) -> list[Services]:
    """The services of the first observations, without any action."""
    episode = _episode(seed, **dials)
    answers = [episode.reset_answer()]
    while len(answers) < ticks and not episode.done:
        answers.append(episode.step(WAIT))
    return [answer["observation"]["services"] for answer in answers]


def _roots(episode: RunningEpisode) -> set[str]:
    return {episode.setup.topology.names[fault.service] for fault in episode.setup.faults}


def test_stale_metrics_come_a_tick_or_two_late() -> None:
    fresh, late = _seen(3), _seen(3, stale=1.0)
    for tick in range(4, len(fresh)):
        for name in fresh[tick]:
            shown = late[tick][name][ERROR]
            assert shown in (fresh[tick - 1][name][ERROR], fresh[tick - 2][name][ERROR])


def test_silent_services_stop_measuring_during_the_incident() -> None:
    seen = _seen(4, ticks=12, silent=1.0)
    assert all(ERROR in own for own in seen[0].values())
    assert all(ERROR not in own for own in seen[-1].values())


def test_noise_moves_readings_and_not_the_truth() -> None:
    exact, noisy = _episode(5), _episode(5, noise=0.05)
    for _ in range(4):
        one, other = exact.step(WAIT), noisy.step(WAIT)
        assert one["observation"]["services"] != other["observation"]["services"]
        assert (exact.state.error_rate == noisy.state.error_rate).all()


def test_recent_changes_of_innocents_look_like_a_culprits() -> None:
    ages = [own["last_deployment_age_seconds"] for own in _seen(6, 1, recent_changes=1.0)[0].values()]
    assert sum(age < 1000 for age in ages) >= len(ages) - 1


def test_red_herrings_are_innocents_that_err() -> None:
    episode = _episode(7, red_herrings=3, degraded_herrings=1.0)
    names = episode.setup.topology.names
    herrings = {names[i] for i in episode.setup.red_herrings}
    assert len(herrings) == 3 and not herrings & _roots(episode)
    services = episode.reset_answer()["observation"]["services"]
    assert all(services[name][ERROR] > 0.04 for name in herrings)
    assert any(services[name]["status"] == "degraded" for name in herrings)


def test_lying_logs_order_the_reader_about() -> None:
    lines = []
    for seed in range(6):
        episode = _episode(seed, lying_logs=1.0)
        for name in sorted(set(episode.setup.topology.names) - _roots(episode))[:3]:
            answer = episode.step(Action(action_type="fetch_logs", target_service=name))
            lines += answer["observation"]["services"][name]["recent_logs"]
    text = "\n".join(lines)
    assert "declare_resolved immediately" in text and "restart_service on" in text
    assert "ERROR" in text


def test_load_shifts_without_a_fault() -> None:
    shifted = [seed for seed in range(10) if _episode(seed, load_shift=1.0).setup.load.shift != 1.0]
    assert len(shifted) == 10
    episode = _episode(8, load_shift=1.0)
    while episode.age <= episode.setup.load.since:
        episode.step(WAIT)
    entries = episode.setup.topology.entries
    assert not (episode.state.traffic[entries] == 1.0).any()


def test_usual_traffic_swings_without_a_fault_and_changes_nothing_else() -> None:
    for seed in range(6):
        calm, busy = _episode(seed), _episode(seed, seasonality=0.3)
        setup, load = busy.setup, busy.setup.load
        assert calm.setup.load.at(7) == 1.0 and 0.15 <= load.swing <= 0.3
        assert len({load.at(tick) for tick in range(20)}) == 20
        assert setup.topology.names == calm.setup.topology.names
        healthy = setup.topology.entries.copy()
        healthy[[fault.service for fault in setup.faults]] = False
        for _ in range(12):
            calm.step(WAIT)
            busy.step(WAIT)
            there = load.at(busy.age)
            np.testing.assert_allclose(busy.state.traffic[healthy], there * calm.state.traffic[healthy])


def test_victims_can_be_louder_than_the_culprit() -> None:
    louder = 0
    for seed in range(60):
        episode = _episode(seed)
        for _ in range(3):
            episode.step(WAIT)
        root = [fault.service for fault in episode.setup.faults]
        louder += episode.state.error_rate.max() > episode.state.error_rate[root].max() + 0.01
    assert 5 < louder < 55


def test_being_unmeasured_betrays_nobody() -> None:
    """Most unmeasured services of default hard worlds are innocent."""
    guilty = total = 0
    for seed in range(300):
        episode = RunningEpisode(set_up("hard", seed))
        services = episode.reset_answer()["observation"]["services"]
        unmeasured = {name for name, own in services.items() if set(own) <= IDENTITY}
        guilty += len(unmeasured & _roots(episode))
        total += len(unmeasured)
    assert guilty > 20 and guilty / total < 0.35


def test_a_shared_dependency_that_nobody_monitors_can_be_the_culprit() -> None:
    names = ("api-gateway", "user-service", "auth-service", "session-service", "cache", "db-proxy")
    dials = {**CALM, "unmonitored": 1.0, "services": (7, 7)}
    for seed in range(5):
        episode = RunningEpisode(
            set_up("hard", seed, None, Script(services=names, faults={"cache": "split_brain"}, dials=dials))
        )
        topology = episode.setup.topology
        callers = topology.callers[topology.callees == topology.names.index("cache")]
        assert len(callers) >= 2
        for _ in range(8):
            services = episode.step(WAIT)["observation"]["services"]
        assert ERROR not in services["cache"] and ERROR not in services["db-proxy"]
        assert ERROR in services["user-service"]
        worse = episode.state.error_rate[callers] - episode.setup.fleet.error_rate[callers]
        assert worse.max() > 0.05


def test_an_unmeasured_culprit_shows_at_its_callers() -> None:
    for seed in range(30):
        episode = _episode(seed, blind_root=1.0)
        (fault,) = episode.setup.faults
        calls = episode.setup.topology.callees == fault.service
        name = episode.setup.topology.names[fault.service]
        for _ in range(5):
            answer = episode.step(WAIT)
        if calls.any():
            assert ERROR not in answer["observation"]["services"][name]
            callers = episode.setup.topology.callers[calls]
            state, rest = episode.state, episode.setup.fleet
            worse = (state.error_rate[callers] > rest.error_rate[callers] + 0.01) | (
                state.latency_s[callers] > rest.latency_s[callers] * 1.1
            )
            assert worse.any() or (state.traffic[callers] < 0.95).any(), (seed, fault.family.name)
