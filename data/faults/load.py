"""Faults of load and of shared state: storms, stampedes, quotas, queries, split brains."""

from data.faults.base import Drive, Extra, FaultFamily, Remedy, Symptom


class RetryStorm(FaultFamily):
    name = "retry_storm"
    title = "Retry storm"
    story = (
        "A short hiccup made every client retry. The hiccup is over, but the retries keep the service "
        "overloaded: the storm feeds itself until the load is shed."
    )
    callees_see = "Several times their usual traffic."
    symptoms = (
        Symptom(Drive.SURGE, jump=0.8, per_minute=0.8, ceiling=4.0),
        Symptom(Drive.CPU, jump=0.2, per_minute=0.2, ceiling=0.7),
        Symptom(Drive.SATURATION, jump=0.3, per_minute=0.3, ceiling=1.0),
        Symptom(Drive.LATENCY, jump=0.3, per_minute=1.2, ceiling=10.0),
        Symptom(Drive.ERROR, jump=0.1, per_minute=0.14, ceiling=0.85),
    )
    remedies = (
        Remedy("circuit_break", "halt", "Callers of {service} hold back; its queue drains."),
        Remedy(
            "restart_service",
            "worsen",
            "Restarted {service}. The waiting retries arrive all at once.",
            left=0.7,
        ),
        Remedy("scale_replicas", "ease", "{service} scaled out; retries fill the new capacity.", left=0.7),
    )
    dump = "Most running requests have no caller any more."
    extras = (Extra("http_client_retry_count", 12, 9400), Extra("http_server_request_queue_depth", 3, 950))


class CacheStampede(FaultFamily):
    name = "cache_stampede"
    title = "Cache stampede"
    story = (
        "The cache lost its entries. Every miss goes to the store behind it, many at once for the same key."
    )
    callees_see = "A flood of identical reads."
    kinds = ("cache", "service", "datastore")
    symptoms = (
        Symptom(Drive.SURGE, jump=1.0, per_minute=0.5, ceiling=3.0),
        Symptom(Drive.LATENCY, jump=0.3, per_minute=0.7, ceiling=6.0),
        Symptom(Drive.CPU, jump=0.1, per_minute=0.1, ceiling=0.5),
        Symptom(Drive.ERROR, per_minute=0.12, ceiling=0.6),
        Symptom(Drive.SATURATION, jump=0.2, per_minute=0.2, ceiling=0.9),
    )
    remedies = (
        Remedy(
            "rebalance_load",
            "halt",
            "Requests for the same key to {service} are collapsed; the cache refills.",
        ),
        Remedy("scale_replicas", "ease", "{service} scaled out; the new shards start empty.", left=0.7),
        Remedy("restart_service", "worsen", "Restarted {service}. What was cached is gone.", left=0.7),
    )
    dump = "Hundreds of threads load the same key."
    extras = (Extra("cache_hit_rate", 0.93, 0.04), Extra("cache_evictions_per_second", 12, 8000))


class QuotaExhaustion(FaultFamily):
    name = "quota_exhaustion"
    title = "Quota or rate limit exhausted"
    story = (
        "A quota ran out. Requests beyond it are refused at once: many errors, fast answers, idle processor."
    )
    symptoms = (
        Symptom(Drive.ERROR, jump=0.25, per_minute=0.15, ceiling=0.8),
        Symptom(Drive.CPU, jump=-0.04, ceiling=0.0),
    )
    remedies = (
        Remedy("scale_replicas", "halt", "Capacity of {service} raised above the present demand."),
        Remedy("rebalance_load", "ease", "Part of the demand on {service} moved elsewhere.", left=0.5),
    )
    dump = "Handlers end after the limiter's first check."
    extras = (Extra("quota_remaining_ratio", 0.6, 0.0),)


class SlowQuery(FaultFamily):
    name = "slow_query"
    title = "Slow query"
    story = (
        "A query lost its index. Each call takes seconds, locks are held longer, waiting sessions pile up."
    )
    callers_see = "Long waits, then time-outs; they hold their own threads meanwhile."
    kinds = ("datastore", "service")
    symptoms = (
        Symptom(Drive.LATENCY, jump=0.8, per_minute=1.5, ceiling=15.0),
        Symptom(Drive.CPU, jump=0.15, per_minute=0.1, ceiling=0.6),
        # Sessions pile up for minutes before any is refused.
        Symptom(Drive.SATURATION, per_minute=0.2, ceiling=0.9, after_minutes=1.0),
        Symptom(Drive.ERROR, per_minute=0.08, ceiling=0.4, after_minutes=2.5),
    )
    remedies = (
        Remedy(
            "revert_config", "halt", "Query plan settings of {service} restored; the index is used again."
        ),
        Remedy("scale_replicas", "ease", "{service} scaled out; every copy runs the same plan.", left=0.7),
        Remedy("extend_timeout", "worsen", "Callers of {service} hold their connections longer.", left=0.8),
    )
    dump = "Threads wait in socketRead from the store; the plan shows a sequential scan over 40M rows."
    extras = (Extra("db_slow_queries_per_second", 0.1, 42.0),)


class SplitBrain(FaultFamily):
    name = "split_brain"
    title = "Split-brain datastore"
    story = "Two nodes both believe they lead. Writes diverge, reads contradict each other, clients retry."
    kinds = ("datastore", "cache", "queue", "service")
    symptoms = (
        Symptom(Drive.ERROR, jump=0.15, per_minute=0.12, ceiling=0.6),
        Symptom(Drive.LATENCY, jump=0.3, per_minute=0.4, ceiling=4.0),
        Symptom(Drive.NETWORK, jump=0.05, ceiling=0.05),
        Symptom(Drive.SATURATION, jump=0.1, per_minute=0.1, ceiling=0.6),
    )
    remedies = (
        Remedy(
            "circuit_break",
            "halt",
            "Writes to the smaller half of {service} are fenced off; one leader remains.",
        ),
        Remedy(
            "restart_service", "worsen", "Restarted {service}. Both halves hold an election again.", left=0.8
        ),
    )
    dump = "Two nodes answer INFO replication with role:master."
    extras = (Extra("raft_leaders_seen", 1, 2),)
