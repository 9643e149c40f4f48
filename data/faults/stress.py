"""Faults of fault injectors: one resource is loaded, and callers are hardly affected.

They are too mild for an episode, but teach the ranker that the root cause need not be the loudest service.
"""

from data.faults.base import Drive, FaultFamily, Remedy, Symptom


class _Stress(FaultFamily):
    playable = False
    remedies = (Remedy("restart_service", "halt", "Restarted {service}; the load on it is gone."),)
    callers_see = "A somewhat slower service."


class CpuStress(_Stress):
    name = "cpu_stress"
    title = "Processor stress"
    story = "A process inside the container burns processor time; the service is a little slower."
    symptoms = (
        Symptom(Drive.CPU, jump=0.5, per_minute=0.1, ceiling=0.9),
        Symptom(Drive.LATENCY, jump=0.1, per_minute=0.1, ceiling=1.0),
    )
    dump = "One thread that belongs to no request is always RUNNABLE."


class MemoryStress(_Stress):
    name = "memory_stress"
    title = "Memory stress"
    story = "A process inside the container holds memory; the service itself hardly notices."
    symptoms = (
        Symptom(Drive.MEMORY, jump=0.3, per_minute=0.1, ceiling=0.9),
        Symptom(Drive.LATENCY, jump=0.02, per_minute=0.05, ceiling=0.5),
    )
    dump = "A large anonymous mapping belongs to no request."


class DiskStress(_Stress):
    name = "disk_stress"
    title = "Disk stress"
    story = "Files are written or moved beside the service; its own reads and writes wait."
    symptoms = (
        Symptom(Drive.DISK, jump=0.3, per_minute=0.1, ceiling=0.6),
        Symptom(Drive.LATENCY, jump=0.1, per_minute=0.2, ceiling=1.0),
        Symptom(Drive.LOGS, jump=0.1, ceiling=0.1),
    )
    dump = "Threads wait in fsync()."


class UncaughtException(_Stress):
    name = "uncaught_exception"
    title = "Uncaught exception"
    story = "One code path throws. Its stack traces fill the service's own log; part of the requests fail."
    callers_see = "Some failed calls, answered at once."
    hidden = 0.5
    change = "deploy"
    remedies = (Remedy("rollback_deploy", "halt", "Rolled {service} back to {sha}."),)
    symptoms = (
        Symptom(Drive.LOGS, jump=0.8, ceiling=0.8),
        Symptom(Drive.ERROR, jump=0.25, per_minute=0.05, ceiling=0.5),
    )
    dump = "The same stack trace ends every failing request."


class RejectedLogins(_Stress):
    name = "rejected_logins"
    title = "Rejected logins"
    story = "Credentials are refused at this service. It answers fast and measures nothing unusual itself."
    callers_see = "A share of refused requests."
    hidden = 0.8
    remedies = (Remedy("revert_config", "halt", "Credentials of {service} restored."),)
    symptoms = (
        Symptom(Drive.ERROR, jump=0.15, per_minute=0.05, ceiling=0.5),
        Symptom(Drive.LOGS, jump=0.2, ceiling=0.2),
    )
    dump = "Nothing unusual."
