"""The fault families, by name."""

from data.faults.base import Drive, FaultFamily, Remedy, Symptom
from data.faults.change import BadDeploy, ClockSkew, CodeDefect, ConfigDrift, ExpiredCertificate
from data.faults.compute import (
    CpuStarvation,
    CrashLoop,
    DiskFull,
    NoisyNeighbour,
    RunawayProcess,
    ThreadDeadlock,
)
from data.faults.load import CacheStampede, QuotaExhaustion, RetryStorm, SlowQuery, SplitBrain
from data.faults.memory import MemoryLeak, OutOfMemory
from data.faults.network import (
    GrayFailure,
    InstanceLost,
    NetworkDelay,
    NetworkPartition,
    PacketLoss,
    StaleRegistry,
)
from data.faults.stress import (
    CpuStress,
    DiskStress,
    MemoryStress,
    RejectedLogins,
    UncaughtException,
)

FAMILIES: dict[str, FaultFamily] = {
    family.name: family
    for family in (
        OutOfMemory(),
        MemoryLeak(),
        BadDeploy(),
        ConfigDrift(),
        NetworkPartition(),
        CpuStarvation(),
        CrashLoop(),
        ThreadDeadlock(),
        DiskFull(),
        ExpiredCertificate(),
        ClockSkew(),
        SlowQuery(),
        GrayFailure(),
        NetworkDelay(),
        PacketLoss(),
        RetryStorm(),
        CacheStampede(),
        QuotaExhaustion(),
        StaleRegistry(),
        InstanceLost(),
        NoisyNeighbour(),
        RunawayProcess(),
        SplitBrain(),
        CodeDefect(),
        CpuStress(),
        MemoryStress(),
        DiskStress(),
        UncaughtException(),
        RejectedLogins(),
    )
}

# Those that an episode can be about.
PLAYABLE: tuple[str, ...] = tuple(name for name, family in FAMILIES.items() if family.playable)

__all__ = ["FAMILIES", "PLAYABLE", "Drive", "FaultFamily", "Remedy", "Symptom"]
