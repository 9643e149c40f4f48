"""Faults of the machine: CPU, threads, disk, noisy neighbours."""

from data.faults.base import Drive, Extra, FaultFamily, Remedy, Symptom, every


class CpuStarvation(FaultFamily):
    name = "cpu_starvation"
    title = "CPU starvation and throttling"
    story = "The service needs more processor time than its limit gives: throttled, it is slow, then fails."
    symptoms = (
        Symptom(Drive.CPU, jump=0.4, per_minute=0.2, ceiling=0.85),
        Symptom(Drive.LATENCY, jump=0.2, per_minute=0.8, ceiling=8.0),
        Symptom(Drive.SATURATION, per_minute=0.2, ceiling=0.7),
        Symptom(Drive.ERROR, per_minute=0.08, ceiling=0.5, after_minutes=1.0),
    )
    remedies = (
        Remedy("scale_replicas", "halt", "{service} scaled out; cpu per instance falls."),
        Remedy(
            "restart_service",
            "worsen",
            "Restarted {service}. Start-up costs cpu that it does not have.",
            left=0.8,
        ),
    )
    dump = "Nearly all threads are RUNNABLE; involuntary context switches climb."
    extras = (Extra("process_cpu_throttle_rate", 0.01, 0.7),)


class RunawayProcess(FaultFamily):
    name = "runaway_process"
    title = "Runaway process"
    story = (
        "Something inside the container, a job or an agent, burns cpu and memory that serving needs. "
        "Requests slow down a little; few fail."
    )
    callers_see = "Somewhat slower answers, hardly any errors."
    callees_see = "Nothing."
    symptoms = (
        Symptom(Drive.CPU, jump=0.35, per_minute=0.1, ceiling=0.7),
        Symptom(Drive.MEMORY, jump=0.25, per_minute=0.1, ceiling=0.7),
        Symptom(Drive.LATENCY, jump=0.25, per_minute=0.3, ceiling=3.0),
        Symptom(Drive.ERROR, per_minute=0.03, ceiling=0.2, after_minutes=2.5),
    )
    remedies = (
        Remedy("restart_service", "halt", "Restarted {service}. The process is gone."),
        Remedy(
            "scale_replicas", "ease", "{service} scaled out; the process runs on in old instances.", left=0.5
        ),
    )
    dump = "Besides the server, a process of the same container uses two cores and half the memory."
    extras = (Extra("container_processes", 1, 4),)


class NoisyNeighbour(FaultFamily):
    name = "noisy_neighbour"
    title = "Noisy neighbour"
    story = (
        "Another tenant of the node takes processor and disk in bursts; the service slows in the same rhythm."
    )
    symptoms = (Symptom(Drive.LATENCY, jump=0.8, per_minute=0.3, ceiling=4.0),)
    remedies = (
        Remedy("traffic_shift", "halt", "Traffic of {service} moved to instances on quiet nodes."),
        Remedy("scale_replicas", "halt", "New instances of {service} started on other nodes."),
    )
    dump = "Threads are runnable but off cpu; the node's load is far above the pod's."
    extras = (Extra("node_steal_ratio", 0.01, 0.38),)

    def levels(self, minutes: float, pace: float) -> list[tuple[Drive, float]]:
        quiet = 1.0 if every(minutes, 3.0 / pace, 0.7) else 0.4
        latency = min(0.8 + 0.6 * pace * minutes, 4.0)
        error = min(0.08 * pace * minutes, 0.35)
        return [
            (Drive.LATENCY, quiet * latency),
            (Drive.CPU, 0.25 * quiet),
            (Drive.ERROR, quiet * error),
            (Drive.SATURATION, 0.3 * quiet),
        ]


class CrashLoop(FaultFamily):
    name = "crash_loop"
    title = "Crash loop"
    story = "The process dies soon after each start. Between crashes it serves; the pauses grow."
    change = "deploy"
    remedies = (
        Remedy("rollback_deploy", "halt", "Rolled {service} back to {sha}. It stays up."),
        Remedy("restart_service", "ease", "Restarted {service}. It is up for the moment.", left=0.2),
    )
    dump = "The process lives 20 s; the last frames are always in parseRules()."
    extras = (Extra("liveness_probe_status", "passing", "failing"),)

    def levels(self, minutes: float, pace: float) -> list[tuple[Drive, float]]:
        period = 1.5 / pace
        crashes = 1 + int(minutes / period)
        serving = minutes % period < period / (1 + crashes) and crashes < 4
        share = 0.35 if serving else min(0.6 + 0.1 * crashes, 1.0)
        return [
            (Drive.ERROR, share),
            (Drive.RESTARTS, crashes),
            (Drive.SILENCE, 0.0 if serving else 0.5),
            (Drive.CPU, 0.15 if serving else 0.0),
        ]


class ThreadDeadlock(FaultFamily):
    name = "thread_deadlock"
    title = "Thread-pool deadlock"
    story = (
        "Threads wait for each other. One after the other is lost, the pool fills, cpu falls, requests hang."
    )
    symptoms = (
        Symptom(Drive.SATURATION, jump=0.2, per_minute=0.35, ceiling=1.0),
        Symptom(Drive.LATENCY, per_minute=3.0, ceiling=30.0),
        Symptom(Drive.CPU, per_minute=-0.05, ceiling=0.0),
        Symptom(Drive.ERROR, per_minute=0.2, ceiling=0.95, after_minutes=0.5),
    )
    remedies = (
        Remedy("restart_service", "halt", "Restarted {service}. All threads are free."),
        Remedy(
            "scale_replicas", "ease", "{service} scaled out; the new instances start to hang too.", left=0.6
        ),
    )
    dump = "Two groups of threads each hold the monitor the other waits for; 188 of 200 are BLOCKED."
    extras = (Extra("runtime_blocked_threads", 0, 188),)


class DiskFull(FaultFamily):
    name = "disk_full"
    title = "Disk full"
    story = (
        "Debug logs or temporary files fill the volume. Writes slow down, then fail; reads go on for a while."
    )
    symptoms = (
        Symptom(Drive.DISK, jump=0.3, per_minute=0.2, ceiling=0.62),
        Symptom(Drive.LATENCY, per_minute=0.4, ceiling=3.0, after_minutes=1.0),
        # 0.35 of the disk was full before, so it is full after a minute and a half.
        Symptom(Drive.ERROR, per_minute=0.25, ceiling=0.9, after_minutes=1.5),
        Symptom(Drive.DESCRIPTORS, per_minute=10.0, ceiling=200.0),
    )
    remedies = (
        Remedy("restart_service", "halt", "Restarted {service} with an empty scratch volume."),
        Remedy("revert_config", "halt", "Log level of {service} back to INFO; rotated files were removed."),
    )
    dump = "write() returns ENOSPC on the data volume; the largest files are logs."
    extras = (Extra("process_disk_usage_ratio", 0.35, 0.99), Extra("application_log_level", "INFO", "DEBUG"))
