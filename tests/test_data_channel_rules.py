"""Metric names of many systems get the right channels: a table of names, and laws of spelling."""

import tomllib
from pathlib import Path

import pytest

from data.channels import Channel, Meaning, default_channel_map, words_of

TABLES = tomllib.loads((Path(__file__).parent / "fixtures/metric_names.toml").read_text(encoding="utf-8"))
NAMED = {
    f"{table}: {means}": (means, names.split()) for table in TABLES for means, names in TABLES[table].items()
}


def told(meaning: Meaning | None) -> str:
    """A meaning in the terms of the tables."""
    if meaning is None:
        return "nothing"
    scale = f" {meaning.scale:g}" if meaning.scale != 1.0 else ""
    inverted, by_size = " inverted" * meaning.inverted, " by_size" * meaning.by_size
    return f"{meaning.channel}{inverted}{scale}{by_size}"


@pytest.mark.parametrize(("means", "names"), NAMED.values(), ids=NAMED)
def test_names_mean_what_the_table_says(means: str, names: list[str]) -> None:
    assert {name: told(default_channel_map()(name)) for name in names} == dict.fromkeys(names, means)


@pytest.mark.parametrize("separator", [".", "-", "/", ":", " "])
def test_how_words_are_separated_means_nothing(separator: str) -> None:
    for means, names in NAMED.values():
        spellings = [name.replace("_", separator) for name in names]
        assert {one: told(default_channel_map()(one)) for one in spellings} == dict.fromkeys(spellings, means)


DOWN = """
    TargetDown InstanceDown ServiceDown RedisDown PostgresqlDown HaproxyBackendDown KubeletDown
    RabbitmqNodeDown EndpointDown KubeNodeUnreachable KubeDeploymentReplicasMismatch
    KubeStatefulSetReplicasMismatch ContainerKilled ContainerAbsent PrometheusJobMissing RedisMissingMaster
    EtcdNoLeader ServiceUnavailable BlackboxProbeFailed ConsulServiceHealthcheckFailed ImagePullBackOff
    ContainerTerminated
"""
LOOPING = """
    KubePodCrashLooping CrashLooping CrashLoopBackOff BackOff OOMKilled OOMKilling ContainerOOMKilled
    HostOomKillDetected
"""


@pytest.mark.parametrize(("names", "channel"), [(DOWN, Channel.ERROR), (LOOPING, Channel.RESTARTS)])
def test_that_something_is_down_counts_for_several_alerts(names: str, channel: Channel) -> None:
    meanings = {name: default_channel_map()(name) for name in names.split()}
    assert {name: meaning and meaning.channel for name, meaning in meanings.items()} == dict.fromkeys(
        meanings, channel
    )
    ordinary = default_channel_map()("HighErrorRate")
    assert ordinary and all(meaning.weight > ordinary.weight for meaning in meanings.values() if meaning)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("http.server.request.duration", "http server request duration"),
        ("PodSuccessRate(%)", "pod success rate %"),
        ("CPUUtilization", "cpu utilization"),
        ("p99Latency", "p99 latency"),
        ("HTTPCode_Target_5XX_Count", "http code target 5xx count"),
        ("VolumeReadIOPs", "volume read iops"),
        ("4xxErrorRate", "4xx error rate"),
        ("", ""),
    ],
)
def test_a_name_is_split_into_words(name: str, words: str) -> None:
    assert words_of(name) == words


@pytest.mark.parametrize(
    ("name", "good"),
    [
        ("FreeableMemory", "up"),
        ("cpu_idle", "up"),
        ("disk_free", "up"),
        ("pg_up", "up"),
        ("HealthyHostCount", "up"),
        ("UnHealthyHostCount", "down"),
        ("unsuccessful_requests", "down"),
        ("SuccessfulRequestLatency", "down"),
        ("success_rate", "up"),
    ],
)
def test_an_alert_gets_better_in_the_direction_that_the_name_says(name: str, good: str) -> None:
    meaning = default_channel_map()(name)
    assert meaning is not None and meaning.good_direction == good


def test_a_share_is_told_from_a_percentage_by_the_largest_value() -> None:
    meaning = Meaning(Channel.ERROR, inverted=True, scale=0.01, by_size=True)
    assert [meaning.scale_of(largest) for largest in (0.0, 1.0, 1.5, 1.6, 100.0)] == [
        1.0,
        1.0,
        1.0,
        0.01,
        0.01,
    ]
    assert Meaning(Channel.ERROR, inverted=True, scale=0.01).scale_of(1.0) == 0.01
