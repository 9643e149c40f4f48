"""Faults caused by changes: code, configuration, certificates, clocks."""

from data.faults.base import Drive, Extra, FaultFamily, Remedy, Symptom


class BadDeploy(FaultFamily):
    name = "bad_deploy"
    title = "Bad deployment"
    story = "A fresh version fails on part of the traffic; the share grows as the rollout proceeds."
    symptoms = (
        Symptom(Drive.ERROR, per_minute=0.16, ceiling=1.0),
        Symptom(Drive.LATENCY, per_minute=0.6, ceiling=12.0),
    )
    change = "deploy"
    remedies = (
        Remedy(
            "rollback_deploy", "halt", "Rolled {service} back to {sha}. Its error rate starts to decline."
        ),
    )
    dump = "The diff of {sha} removes a null check in RequestMapper.map() and adds a required field."
    extras = (Extra("deployment_rollout_progress_pct", 100, 45),)


class ConfigDrift(FaultFamily):
    name = "config_drift"
    title = "Configuration drift"
    story = (
        "A configuration push shrank the connection pool. Requests queue for a connection: latency explodes "
        "within a tick, errors follow as waits run into time-outs, descriptors pile up."
    )
    symptoms = (
        Symptom(Drive.LATENCY, per_minute=6.0, ceiling=40.0),
        Symptom(Drive.ERROR, per_minute=0.24, ceiling=1.0),
        Symptom(Drive.DESCRIPTORS, per_minute=100.0, ceiling=2000.0),
        Symptom(Drive.SATURATION, jump=0.3, per_minute=0.3),
    )
    change = "config"
    remedies = (
        Remedy(
            "revert_config",
            "halt",
            "Configuration of {service} reverted. The pool has its former size again.",
            left=0.3,
        ),
        Remedy(
            "restart_service",
            "ease",
            "Restarted {service}. Waiting requests were dropped; new ones queue again.",
            left=0.5,
        ),
    )
    dump = "46 of 50 threads wait in getConnection(); the pool holds 3 connections, all in use."
    extras = (Extra("hikaricp_connections_max", 20, 3),)


class CodeDefect(FaultFamily):
    name = "code_defect"
    title = "Code defect: wrong answers, early returns"
    story = (
        "A branch returns early with a wrong or empty answer. The service itself looks fast and healthy, and "
        "calls its callees less; callers fail on what they get."
    )
    callers_see = "Answers that do not parse: their own errors rise although every call 'succeeded'."
    callees_see = "Noticeably less traffic than usual."
    symptoms = (
        Symptom(Drive.ERROR, jump=0.4, per_minute=0.1, ceiling=0.8),
        Symptom(Drive.SILENCE, jump=0.25, ceiling=0.25),
        Symptom(Drive.LOGS, jump=0.3, ceiling=0.3),
    )
    hidden = 0.85
    change = "deploy"
    remedies = (
        Remedy("rollback_deploy", "halt", "Rolled {service} back to {sha}. Answers are complete again."),
    )
    dump = "The diff of {sha} returns before the result is filled when a feature flag is unset."


class ExpiredCertificate(FaultFamily):
    name = "expired_certificate"
    title = "Expired certificate"
    story = "A certificate ran out. From one minute to the next nearly every new connection is refused."
    symptoms = (
        Symptom(Drive.ERROR, jump=0.55, per_minute=0.25, ceiling=0.98),
        Symptom(Drive.LATENCY, jump=0.15, ceiling=0.15),
        Symptom(Drive.NETWORK, jump=0.1, ceiling=0.1),
    )
    hidden = 0.3
    change = "config"
    remedies = (
        Remedy("revert_config", "halt", "Certificate bundle of {service} replaced by the valid one."),
        Remedy("restart_service", "ease", "Restarted {service}. It loads the same bundle again.", left=0.8),
    )
    dump = "Handshakes end with alert 45 right after ServerHello."
    extras = (Extra("tls_certificate_expiry_seconds", 5184000, -3600),)


class ClockSkew(FaultFamily):
    name = "clock_skew"
    title = "Clock skew"
    story = "The host's clock runs off. Tokens look expired or not yet valid, signatures fail."
    symptoms = (
        Symptom(Drive.ERROR, jump=0.1, per_minute=0.12, ceiling=0.7),
        Symptom(Drive.LATENCY, per_minute=0.1, ceiling=0.8),
    )
    remedies = (
        Remedy(
            "restart_service", "halt", "Restarted {service} on a synchronised host. Tokens validate again."
        ),
        Remedy("revert_config", "ease", "Time settings of {service} reset; the offset returns.", left=0.6),
    )
    dump = "clock_gettime differs from the peer's Date header by 418 s."
    extras = (
        Extra("system_clock_offset_seconds", 0.02, 418.0),
        Extra("ntp_sync_status", "synced", "unsynced"),
    )
