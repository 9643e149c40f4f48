"""Metric names of many systems get the right channels: a table of names, and laws of spelling."""

import pytest

from data.channels import Channel, Meaning, default_channel_map, words_of

# Metrics of real incidents, the environments and the simulator, as the shipped ranker learnt them.
LEARNT = {
    "nothing": """
        NodeCpuUsageRate(%) NodeMemoryUsageRate(%) NodeNetworkReceiveBytes application_log_level
        availability_zone az_health_status canary_traffic_weight container_processes cron_job_name
        cron_schedule_expression db_slow_queries_per_second deployment_cold_start_in_progress
        deployment_desired_replicas deployment_rollout_progress_pct deployment_rollout_stuck_reason
        deployment_version grpc_deadline_propagation_rate hpa_scale_event_age_seconds last_config_revision
        last_deployment_sha last_oom_kill_reason lb_az_traffic_weight liveness_probe_status log_count
        log_tpl_new log_write_bytes_per_second metastable_feedback_loop_active model_load_time_seconds
        node_colocation node_cpu_usage node_mem_usage node_memory_pressure_active node_steal_ratio
        ntp_sync_status process_cpu_limit_millicore process_cpu_request_millicore process_memory_limit_bytes
        quota_remaining_ratio raft_leaders_seen recent_logs registry_stale_instances runtime_jvm_threads_max
        sidecar_cert_rotation_status status system_clock_offset_seconds
    """,
    "error": """
        HTTPCode_Target_5XX_rate HighErrorRate canary_error_rate error_rate
        grpc_deadline_exceeded_server_rate grpc_orphaned_call_rate http_server_error_rate
        http_server_error_ratio istio_requests_5xx_rate stable_error_rate
    """,
    "error inverted 0.01 by_size": """
        PodSuccessRate(%) availability availability_Average
    """,
    "error inverted by_size": """
        dest_success_rate
    """,
    "client_error": """
        http_client_retry_count
    """,
    "client_error inverted by_size": """
        src_success_rate
    """,
    "latency_tail": """
        PodServerLatencyP90(s) PodServerLatencyP95(s) PodServerLatencyP99(s) TargetResponseTime_p99 dest_p90
        dest_p95 http_server_request_duration_p95 http_server_request_duration_p99
        in_edge_destination_50_max_s in_edge_source_50_max_s istio_request_duration_milliseconds_p90
        istio_request_duration_milliseconds_p99 latency_p90 latency_p95 latency_p99
    """,
    "latency_tail 1e-06": """
        trace_p90_us
    """,
    "latency_mid": """
        HighLatency TargetResponseTime_p50 dest_p50 http_server_request_duration_p50
        istio_request_duration_milliseconds_p50 latency latency_Average latency_p50
    """,
    "own_latency 1e-06": """
        trace_excl_p90_us
    """,
    "client_latency": """
        PodClientLatencyP90(s) PodClientLatencyP95(s) PodClientLatencyP99(s) http_client_duration src_p50
        src_p90 src_p95
    """,
    "traffic": """
        PodWorkload(Ops) RequestCount_requests_per_s dest_qps effective_rps_multiplier
        http_server_requests_per_second istio_requests_total_rate requests_Sum src_qps throughput
        trace_spans
    """,
    "cpu": """
        CpuUsage(m) container_cpu_usage_seconds_rate cpu_usage docker_cpu_kernel_norm_pct
        docker_cpu_kernel_pct docker_cpu_total_norm_pct docker_cpu_total_pct docker_cpu_user_norm_pct
        docker_cpu_user_pct
    """,
    "cpu 0.01": """
        CpuUsageRate(%)
    """,
    "cpu by_size": """
        CPUUtilization process_cpu_utilization
    """,
    "memory": """
        MemoryPressure MemoryUsage(Mi) container_memory_working_set_bytes cron_last_run_memory_peak_mb
        docker_memory_rss_total docker_memory_stats_active_anon docker_memory_stats_active_file
        docker_memory_stats_dirty docker_memory_stats_inactive_file docker_memory_stats_mapped_file
        docker_memory_stats_pgmajfault docker_memory_stats_rss docker_memory_stats_rss_huge
        docker_memory_stats_writeback docker_memory_usage_max docker_memory_usage_total mem_cache mem_rss
        mem_usage mem_work process_memory_usage_bytes runtime_heap_live_objects
    """,
    "memory 0.01": """
        MemoryUsageRate(%)
    """,
    "memory by_size": """
        MemoryUtilization docker_memory_rss_pct docker_memory_usage_pct process_memory_utilization
    """,
    "saturation": """
        cache_evictions_per_second fs_usage hikaricp_connections_max http_server_active_requests
        http_server_request_queue_depth jvm_gc_pause_ms jvm_thread_pool_usage process_cpu_throttle_rate
        process_disk_usage_ratio process_open_file_descriptors runtime_blocked_threads
        runtime_gc_count_per_second runtime_gc_pause_duration_ms runtime_jvm_threads_count
        runtime_thread_pool_queue_depth saturation_pool threads
    """,
    "saturation inverted": """
        cache_hit_rate deployment_ready_replicas http_server_queue_drain_rate
    """,
    "network_fault": """
        container_tcp_retransmits in_edge_client_minus_server_50_max_s mtls_handshake_failure_rate
        network_packet_loss_rate_inbound trace_net_p90_ms
    """,
    "network_in": """
        NetworkIn_bytes_in NetworkReceiveBytes container_network_receive_bytes_rate docker_network_in_bytes
        docker_network_in_packets net_receive
    """,
    "network_out": """
        NetworkOut_bytes_out NetworkTransmitBytes container_network_transmit_bytes_rate
        docker_network_out_bytes docker_network_out_packets net_trainsmit net_transmit
    """,
    "disk_io": """
        SyscallRead SyscallWrite docker_diskio_read_bytes docker_diskio_read_ops docker_diskio_read_rate
        docker_diskio_reads docker_diskio_summary_ops docker_diskio_summary_rate
        docker_diskio_summary_service_time docker_diskio_summary_wait_time docker_diskio_total
        docker_diskio_write_bytes docker_diskio_write_ops docker_diskio_write_rate
        docker_diskio_write_service_time docker_diskio_write_wait_time docker_diskio_writes
    """,
    "restarts": """
        liveness_probe_consecutive_failures oom_kill_count restart_count
    """,
    "logs": """
        log_err_count
    """,
    "log_shift": """
        log_tpl_shift
    """,
    "deploy_age": """
        last_deployment_age_seconds
    """,
    "config_age": """
        last_config_age_seconds
    """,
    "uptime": """
        last_container_start_seconds_ago runtime_uptime_seconds
    """,
}

# Metrics of other systems; "nothing" if a name is too vague or says nothing about health.
OTHERS = {
    "nothing": """
        memcached_items_total memcached_current_bytes group_membership_changes timems request_timems
        cluster_members remember_me_total dotnet_collection_count kubernetes_build_info kubernetes_nodes
        planet_count netty.bytes.used failover_count mean_time_between_failures default_rate_limit
        client_bytes_retrieved page.load.time class.load.count successful_requests error_budget_remaining
        error_budget_burn_rate request_success_count unavailability CPUSurplusCreditBalance
        rabbitmq_queue_consumers consumer_count dequeue_rate queue_dequeue_rate
        rabbitmq_queue_consumer_utilisation rabbitmq_queue_messages_published_total
        pg_stat_activity_idle_in_transaction process_max_fds max_fds jvm_memory_max_bytes memory.limit
        container_spec_memory_limit_bytes kube_pod_container_resource_limits
        kube_pod_container_resource_limits_cpu_cores kube_pod_container_resource_requests_memory_bytes
        max_connections mysql_global_variables_max_connections pg_settings_max_connections cpu_count
        system.cpu.count machine_cpu_cores container_spec_cpu_quota hikaricp_connections_min
        tomcat_threads_config_max_threads db_pool_max db_pool_min pool_max_size connection_pool_max
        heap_max_bytes redis_config_maxclients redis_memory_max_bytes kube_deployment_spec_replicas
        kube_horizontalpodautoscaler_spec_max_replicas system.mem.total node_filesystem_size_bytes
        container_fs_limit_bytes disk_total_bytes process_virtual_memory_max_bytes request_timeout_seconds
        process_start_time_seconds container_start_time_seconds kube_pod_start_time job_duration_seconds
        response_size_p99 http_client_requests_seconds_count http_client_request_duration_seconds_count
        http_client_requests_total envoy_cluster_upstream_rq_total envoy_cluster_upstream_cx_active
        envoy_cluster_membership_healthy grpc_client_handled_total http_server_requests_seconds_sum
        http_server_requests_seconds_bucket ApproximateNumberOfMessagesNotVisible feature_flag scale_up
        mysql_slow_queries slow_queries http_4xx HTTPCode_Target_4XX_Count http_429_total NewConnectionCount
        node_load1 page_faults nodejs_active_handles_total certificate_remaining_days
        application_load_balancer
        container_memory_failures_total.pgfault container_memory_failures_total cpu_cfs_periods
        container_cpu_cfs_periods_total container_last_seen Watchdog InfoInhibitor scale_down_total cooldown
    """,
    "error": """
        internet_gateway_timeout kubernetes_errors_total internet_gateway_error_rate login_errors
        catalog_errors blog_request_errors logical_replication_errors http_timeout_count
        request_timeout_count http_timeouts_count connection_timeout_count unsuccessful_requests
        exceptions_total unhandled_exceptions timeouts timeouts_total dropped_requests rejected_requests
        requests_dropped_total panics_total ErrorCount HTTPCode_ELB_5XX_Count 4xx_errors 4xxErrorRate
        http_5xx_total status_5xx connection_errors_total Errors DeadLetterErrors FaultRate Faults
        timeout request_timeout server_error
    """,
    "error 0.01": """
        error_percentage error_pct ErrorRate(%)
    """,
    "error inverted 0.01 by_size": """
        SuccessPercentage success_percent Availability availability_ratio service_availability
        availability_percent uptime_pct uptime_percent
    """,
    "error inverted by_size": """
        memcached_up success_rate http_success_rate success_ratio non_error_rate error_free_ratio
        probe_success up pg_up redis_up mysql_up haproxy_server_up
        sr grpc_sr http_rr rr succee_rate succ_rate
    """,
    "client_error": """
        envoy_cluster_upstream_rq_5xx envoy_cluster_upstream_cx_connect_fail
        envoy_cluster_upstream_rq_timeout envoy_cluster_upstream_rq_retry http_client_errors
        client_error_rate TargetConnectionErrorCount retries retry_count retries_total
    """,
    "latency_tail": """
        page_load_time_p95 p99_latency_ms p95_latency p99_response_time_ms p99Latency p95 p99 P99 latencyP95
        latency_99 latency.p999 latency_95percentile response_time_95th
        http_request_duration_seconds{quantile="0.99"} http_server_requests_seconds_max duration_p99
        Duration_p99 Duration_Maximum max_latency
        rrt_max latency_p99_s
    """,
    "latency_mid": """
        SuccessfulRequestLatency request_success_duration_seconds p50 TargetResponseTime Latency Duration
        ReadLatency IntegrationLatency request_time_avg response_time rt_avg http_server_requests_seconds
        http.server.duration http_server_duration_milliseconds rpc.server.duration rpc.server.call.duration
        grpc_server_handling_seconds Lambda.Duration
        mrt grpc_mrt http_mrt rrt AverageRespTime avg_time latency_p50_s latency_caller_s latency_callee_s
        SlowRequests BlackboxSlowProbe
    """,
    "own_latency": """
        own_latency_s
    """,
    "client_latency": """
        http.client.request.duration http.client.duration http_client_requests_seconds
        envoy_cluster_upstream_rq_time grpc_client_handling_seconds rpc.client.duration
        db.client.operation.duration
    """,
    "traffic": """
        aspnet_requests_rate aspnetcore_requests_total successful_requests_total rpm tps rps qps
        RequestCount RequestRate RequestCountPerTarget RequestsPerSecond requests_per_min
        http_requests_total nginx_http_requests_total redis_instantaneous_ops_per_sec Invocations
        traces_spanmetrics_calls_total calls_total queries_per_second http_server_requests_seconds_count
        http_server_duration_milliseconds_count grpc_server_handling_seconds_count grpc_server_handled_total
        load_balancer_requests_total latency_SampleCount
        request_rate request istio_cnt
    """,
    "cpu": """
        system.cpu.total.pct CPUCreditUsage cpu_usage_p95 cpu_iowait load load1 load_average_1m
        system.load.1 system_load_average_1m process_cpu_seconds_total
        power container_power_watts
    """,
    "cpu 0.01": """
        cpu_percent container.cpu.percent cpu_usage_percent
        CPUUsedPerc
    """,
    "cpu by_size": """
        CPUUtilization_Average cpu_pct cpu_utilization jvm.cpu.recent_utilization
    """,
    "cpu inverted by_size": """
        cpu_idle cpu_idle_percent cpu.idle system.cpu.idle
    """,
    "memory": """
        dotnet_total_memory_bytes kubernetes.memory.usage container_memory_max_usage_bytes memory_p99
        process_resident_memory_bytes jvm_memory_used_bytes
        memory_bytes memory_share container_memory_failures_total.pgmajfault SWPTotSwapUsed
    """,
    "memory 0.01": """
        memory_percent mem_used_percent
        MEMUsedMemPerc
    """,
    "memory by_size": """
        system.memory.used.pct memory_utilization ecs_memory_utilization
        k8s.container.memory_limit_utilization
    """,
    "memory inverted": """
        FreeableMemory free_memory_bytes available_memory_bytes heap_free heap_free_bytes system.mem.usable
        memory_free MemAvailable_bytes mem_available mem_avail memory.available jvm_memory_free
    """,
    "memory inverted by_size": """
        system.mem.pct_usable memory_free_percent
    """,
    "saturation": """
        netty_pending_tasks KubernetesOutOfDisk go_gc_duration_seconds_count go_gc_duration_seconds
        go_gc_duration_seconds_sum lock_time_count lock_timeout_count innodb_row_lock_time
        rabbitmq_queue_messages_ready rabbitmq_queue_messages_unacked mysql_max_used_connections go_threads
        rate_limit_exceeded_total rate_limited_requests queue_depth_p99 disk_used_percent disk_used_bytes
        system.filesystem.utilization filesystem_utilization disk_full disk_usage DiskSpaceUtilization
        container_fs_usage_bytes DiskQueueDepth http_client_active_requests
        envoy_cluster_upstream_rq_pending_active db.client.connections.pending_requests
        db.client.connections.timeouts db.client.connections.wait_time db.client.connection.timeouts
        db.client.connection.count hikaricp_connections_pending hikaricp_connections_timeout_total
        hikaricp_connections_acquire_seconds UnHealthyHostCount RejectedConnectionCount ReplicaLag
        AuroraReplicaLag kafka_consumergroup_lag consumer_lag mysql_slave_status_seconds_behind_master
        pg_replication_lag_seconds records_lag_max IteratorAge GetRecords.IteratorAgeMilliseconds
        ApproximateAgeOfOldestMessage ApproximateNumberOfMessagesVisible redis_blocked_clients
        redis_connected_clients redis_evicted_keys_total evictions cache_evictions
        mysql_global_status_innodb_row_lock_waits row_lock_waits pods_not_ready jvm.gc.duration
        jvm_gc_collection_seconds_sum jvm_gc_collection_seconds_count jvm_gc_pause_seconds_max
        DatabaseConnections ActiveConnectionCount nodejs_eventloop_lag_seconds jvm_threads_live_threads
        jvm_buffer_pool_used_bytes container_cpu_cfs_throttled_periods_total
        container_cpu_cfs_throttled_seconds_total process_open_fds ThrottledRequests Throttles
        ConcurrentExecutions MessagesInQueue
        container_sockets TCP_FIN_WAIT tcp_close_wait tcp_established replicas_missing cpu_throttled_share
        KubePersistentVolumeFillingUp NodeFilesystemAlmostOutOfSpace KubeHpaMaxedOut
        KubeDeploymentRolloutStuck
        NodeHighNumberConntrackEntriesUsed KubePodNotReady
    """,
    "saturation inverted": """
        CPUCreditBalance BurstBalance pool_idle pool_available_connections threads_idle idle_threads
        db_pool_idle_connections hikaricp_connections_idle jetty_threads_idle queue_free_slots
        queue_remaining_capacity remaining_capacity executor_pool_available RequestHandlerAvgIdlePercent
        kafka_requesthandleravgidle_percent rate_limit_remaining disk_free disk_free_percent
        FreeStorageSpace FreeLocalStorage node_filesystem_avail_bytes disk.available HealthyHostCount
        kube_statefulset_status_replicas_ready kube_daemonset_status_number_ready
        kube_deployment_status_replicas_available kube_pod_status_ready kube_pod_container_status_ready
        ready_replicas cache_hit_ratio CacheHitRate
    """,
    "network_fault": """
        container_network_receive_errors_total container_network_transmit_packets_dropped_total
        TCP_Target_Reset_Count tcp_retransmits
        latency_gap_s unmatched_share network_loss_share network_delay_s network_retransmits
    """,
    "network_in": """
        NetworkReceiveThroughput NetworkThroughput bytes_received rx_bytes
        container_network_receive_bytes_total
        network_receive_bytes
    """,
    "network_out": """
        NetworkTransmitThroughput bytes_sent tx_bytes
    """,
    "disk_io": """
        disk_operation_count ReadIOPS WriteIOPS DiskReadOps DiskWriteOps VolumeReadIOPs ReadThroughput
        WriteThroughput container_fs_reads_total container_fs_writes_bytes_total disk_io_time_ms
        disk_read_bytes blkio_read iowait
        ctn_read ctn_write system.io.await io_util DSKPercentBusy
    """,
    "restarts": """
        container_oom_events_total kube_pod_container_status_restarts_total
    """,
    "logs": """
        log_errors_total app.log.errors
    """,
    "deploy_age 86400": """
        deployment_age_days
    """,
    "config_age 3600": """
        config_age_hours
    """,
    "uptime": """
        redis_uptime_in_seconds process.uptime
    """,
    "uptime 0.001": """
        uptime_ms
    """,
    "uptime 3600": """
        uptime_hours
    """,
    "uptime 60": """
        jvm_uptime_minutes
    """,
    "uptime 86400": """
        uptime_days redis_uptime_in_days
    """,
}


def told(meaning: Meaning | None) -> str:
    """A meaning in the terms of the tables."""
    if meaning is None:
        return "nothing"
    scale = f" {meaning.scale:g}" if meaning.scale != 1.0 else ""
    inverted, by_size = " inverted" * meaning.inverted, " by_size" * meaning.by_size
    return f"{meaning.channel}{inverted}{scale}{by_size}"


@pytest.mark.parametrize(
    ("means", "names"), [*LEARNT.items(), *OTHERS.items()], ids=[*LEARNT, *(f"other {one}" for one in OTHERS)]
)
def test_names_mean_what_the_table_says(means: str, names: str) -> None:
    assert {name: told(default_channel_map()(name)) for name in names.split()} == dict.fromkeys(
        names.split(), means
    )


@pytest.mark.parametrize("separator", [".", "-", "/", ":", " "])
def test_how_words_are_separated_means_nothing(separator: str) -> None:
    for table in (LEARNT, OTHERS):
        for means, names in table.items():
            spellings = [name.replace("_", separator) for name in names.split()]
            assert {one: told(default_channel_map()(one)) for one in spellings} == dict.fromkeys(
                spellings, means
            )


DOWN = """
    TargetDown InstanceDown ServiceDown RedisDown PostgresqlDown HaproxyBackendDown KubeletDown
    RabbitmqNodeDown EndpointDown KubeNodeUnreachable KubeDeploymentReplicasMismatch
    KubeStatefulSetReplicasMismatch ContainerKilled ContainerAbsent PrometheusJobMissing RedisMissingMaster
    EtcdNoLeader ServiceUnavailable BlackboxProbeFailed ConsulServiceHealthcheckFailed ImagePullBackOff
    ContainerTerminated
"""
LOOPING = "KubePodCrashLooping CrashLooping CrashLoopBackOff OOMKilled ContainerOOMKilled HostOomKillDetected"


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
