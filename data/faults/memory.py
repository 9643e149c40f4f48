"""Faults that eat memory."""

from data.faults.base import Drive, Extra, FaultFamily, Remedy, Symptom


class OutOfMemory(FaultFamily):
    name = "oom"
    title = "Out of memory"
    story = (
        "The working set outgrows the memory limit. Memory climbs while everything still works; "
        "at the limit the kernel kills the container, again and again, and every request fails."
    )
    remedies = (
        Remedy(
            "scale_replicas",
            "halt",
            "Memory limit of {service} doubled to {limit_mi}Mi; utilisation now {memory}%.",
            left=1.0,
        ),
        Remedy(
            "restart_service",
            "ease",
            "Restarted {service}. Memory is back to {memory}%, and climbing again.",
            left=0.0,
        ),
    )
    dump = "Most of the heap is one live collection of request buffers; allocation stalls in 31 threads."
    extras = (Extra("oom_kill_count", 0, 3), Extra("node_memory_pressure_active", False, True))

    def levels(self, minutes: float, pace: float) -> list[tuple[Drive, float]]:
        filled = 0.48 * pace * minutes
        if filled < 0.96:
            return [(Drive.MEMORY, filled), (Drive.GC, 200.0 * filled**4)]
        kills = 1 + int((minutes - 2.0 / pace) * 2)
        return [(Drive.ERROR, 1.0), (Drive.MEMORY, 0.77), (Drive.RESTARTS, kills), (Drive.GC, 250.0)]


class MemoryLeak(FaultFamily):
    name = "memory_leak"
    title = "Memory leak"
    story = (
        "Objects are never given back. Memory and collection pauses grow slowly, tail latency with them; "
        "errors follow late."
    )
    symptoms = (
        Symptom(Drive.MEMORY, per_minute=0.16, ceiling=0.96),
        Symptom(Drive.LATENCY, per_minute=1.0, ceiling=20.0),
        Symptom(Drive.GC, per_minute=60.0, ceiling=400.0),
        Symptom(Drive.ERROR, per_minute=0.04, ceiling=0.7),
        Symptom(Drive.CPU, per_minute=0.03, ceiling=0.3, after_minutes=1.0),
    )
    remedies = (
        Remedy(
            "scale_replicas",
            "halt",
            "Memory limit of {service} doubled to {limit_mi}Mi; utilisation now {memory}%.",
            left=1.0,
        ),
        Remedy(
            "restart_service",
            "ease",
            "Restarted {service}. Memory fell to {memory}% and starts to climb again.",
            left=0.1,
        ),
    )
    dump = "Live objects grow between two dumps: 1.2M entries in a listener registry that nothing removes."
    extras = (Extra("runtime_heap_live_objects", 180000, 4200000),)
