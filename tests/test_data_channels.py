"""Metric names get their meaning by rules, and a user's rules come first."""

from pathlib import Path

import pytest

from data.channels import Channel, ChannelMap, channel_of, default_channel_map, read_rules
from data.errors import SchemaError


@pytest.mark.parametrize(
    ("name", "channel"),
    [
        ("http_server_error_rate", Channel.ERROR),
        ("PodSuccessRate(%)", Channel.ERROR),
        ("availability_Average", Channel.ERROR),
        ("http_server_request_duration_p99", Channel.LATENCY_TAIL),
        ("latency_Average", Channel.LATENCY_MID),
        ("in_edge_destination_50_max_s", Channel.LATENCY_TAIL),
        ("trace_excl_p90_us", Channel.OWN_LATENCY),
        ("PodClientLatencyP95(s)", Channel.CLIENT_LATENCY),
        ("dest_qps", Channel.TRAFFIC),
        ("container_cpu_usage_seconds_rate", Channel.CPU),
        ("deployment_cpu_usage", Channel.CPU),
        ("cumulative_cpu_seconds", Channel.CPU),
        ("config_server_memory_usage", Channel.MEMORY),
        ("process_virtual_memory_max_bytes", None),
        ("memory_available_bytes", Channel.MEMORY),
        ("kube_deployment_status_replicas_unavailable", Channel.SATURATION),
        ("node_filesystem_avail_bytes", Channel.SATURATION),
        ("http.server.request.duration", Channel.LATENCY_MID),
        ("http_request_duration_seconds_count", Channel.TRAFFIC),
        ("http_request_duration_seconds_bucket", None),
        ("runtime_jvm_threads_count", Channel.SATURATION),
        ("process_memory_utilization", Channel.MEMORY),
        ("net_transmit", Channel.NETWORK_OUT),
        ("net_receive", Channel.NETWORK_IN),
        ("docker_diskio_read_ops", Channel.DISK_IO),
        ("runtime_thread_pool_queue_depth", Channel.SATURATION),
        ("last_deployment_age_seconds", Channel.DEPLOY_AGE),
        ("restart_count", Channel.RESTARTS),
        ("last_deployment_sha", None),
        ("node_cpu_usage", None),
        ("moon_phase", None),
        ("in_edge_destination_requests", None),
    ],
)
def test_names_mean_what_they_say(name: str, channel: Channel | None) -> None:
    assert channel_of(name) == channel


def test_availability_is_read_upside_down_and_in_percent() -> None:
    meaning = default_channel_map()("availability_Average")
    assert meaning is not None
    assert (meaning.inverted, meaning.scale) == (True, 0.01)


def test_unmapped_names_are_reported_and_set_aside_ones_are_not() -> None:
    assert default_channel_map().unmapped(["moon_phase", "last_deployment_sha", "cpu"]) == ["moon_phase"]


def test_a_users_rules_win(tmp_path: Path) -> None:
    file = tmp_path / "rules.toml"
    file.write_text('[[rule]]\nchannel = "saturation"\npatterns = ["^moon", "^cpu$"]\nscale = 0.5\n')
    channels = ChannelMap(read_rules(file))
    assert [channels(name).channel for name in ("moon_phase", "cpu")] == [Channel.SATURATION] * 2
    assert channels("process_memory_utilization").channel == Channel.MEMORY


def test_a_users_words_are_whole_and_give_way_to_its_exceptions(tmp_path: Path) -> None:
    file = tmp_path / "rules.toml"
    file.write_text('[[rule]]\nchannel = "saturation"\nwords = ["moon .. (full|tide)"]\nunless = ["half"]\n')
    channels = ChannelMap(read_rules(file))
    found = [
        channels(name)
        for name in ("moon_full", "Moon.High-tide", "honeymoon_full", "moonFuller", "half_moon_full")
    ]
    assert [meaning is not None for meaning in found] == [True, True, False, False, False]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[[rule]", "TOML"),
        ('[[rule]]\nchannel = "moods"\npatterns = ["x"]\n', "rule.0.channel"),
        ('[[rule]]\nchannel = "cpu"\npatterns = ["("]\n', "patterns"),
        ('[[rule]]\nchannel = "cpu"\nwords = [")("]\n', "rule.0.words"),
        ('[[rule]]\nchannel = "cpu"\nunless = ["a"]\n', "patterns or words"),
        ('[[rule]]\nchannel = "cpu"\npatterns = ["x"]\ncolour = 1\n', "colour"),
        ('[[rule]]\nchannel = "cpu"\npatterns = ["x"]\nscale = 0.0\n', "scale"),
        ('[[rule]]\nchannel = "cpu"\npatterns = ["x"]\nscale = nan\n', "scale"),
        ('[[rule]]\nchannel = "cpu"\npatterns = ["größe"]\n', "UTF-8"),
    ],
)
def test_a_bad_rule_file_is_refused_by_name(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "rules.toml"
    file.write_text(text, encoding="latin-1")
    with pytest.raises(SchemaError, match=said):
        read_rules(file)
