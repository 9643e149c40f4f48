"""Faults between services."""

from data.faults.base import Drive, Extra, FaultFamily, Remedy, Symptom


class NetworkPartition(FaultFamily):
    name = "network_partition"
    title = "Network partition"
    story = (
        "The service is cut off from its peers: connections are refused, requests hang until they time out."
    )
    callers_see = "Refused connections and full time-outs at once."
    symptoms = (
        Symptom(Drive.ERROR, per_minute=0.4, ceiling=1.0),
        Symptom(Drive.LATENCY, jump=4.0, per_minute=4.0, ceiling=30.0),
        Symptom(Drive.NETWORK, jump=0.5, per_minute=0.2, ceiling=0.95),
        Symptom(Drive.CLIENT, jump=2.0, per_minute=2.0, ceiling=15.0),
        Symptom(Drive.SILENCE, jump=0.2, per_minute=0.1, ceiling=0.5),
    )
    remedies = (
        Remedy(
            "restart_service", "halt", "Restarted {service}. Connections to its peers are re-established."
        ),
        Remedy("traffic_shift", "ease", "Part of the traffic goes around {service}.", left=0.6),
    )
    dump = "connect() returns ECONNREFUSED or hangs until the deadline, for every peer address."
    extras = (Extra("network_packet_loss_rate_inbound", 0.0, 0.9),)


class GrayFailure(FaultFamily):
    name = "gray_failure"
    title = "Gray failure"
    story = (
        "A sick link drops a few packets. Resends make the tail slow while median and errors look normal; "
        "health checks pass."
    )
    callers_see = "A much slower tail, above all for requests with many calls; hardly any errors."
    symptoms = (
        Symptom(Drive.LATENCY, jump=0.6, per_minute=0.5, ceiling=4.0),
        Symptom(Drive.NETWORK, jump=0.03, per_minute=0.01, ceiling=0.12),
        Symptom(Drive.CLIENT, jump=0.5, per_minute=0.4, ceiling=3.0),
    )
    hidden = 0.5
    remedies = (
        Remedy("traffic_shift", "halt", "Traffic moved off the sick path to {service}."),
        Remedy("restart_service", "halt", "Restarted {service}; it came up on another host."),
    )
    dump = "Sockets show climbing retransmission counters; reads stall in multiples of 200 ms."
    extras = (Extra("network_packet_loss_rate_inbound", 0.0, 0.06),)


class PacketLoss(FaultFamily):
    name = "packet_loss"
    title = "Packet loss"
    story = (
        "A good part of all packets is lost. Throughput collapses, calls crawl or fail, in both directions."
    )
    callers_see = "Slow calls and time-outs; fewer of them get through."
    callees_see = "Traffic from it falls away."
    symptoms = (
        Symptom(Drive.NETWORK, jump=0.25, ceiling=0.25),
        Symptom(Drive.SILENCE, jump=0.6, ceiling=0.6),
        Symptom(Drive.LATENCY, jump=0.6, per_minute=0.4, ceiling=4.0),
        Symptom(Drive.CLIENT, jump=0.6, per_minute=0.4, ceiling=4.0),
        Symptom(Drive.ERROR, jump=0.1, per_minute=0.08, ceiling=0.5),
    )
    hidden = 0.6
    remedies = (
        Remedy("traffic_shift", "halt", "Traffic moved off the lossy path to {service}."),
        Remedy("restart_service", "halt", "Restarted {service}; it came up on another host."),
    )
    dump = "Send queues are full; most sockets are in retransmission."
    extras = (Extra("network_packet_loss_rate_inbound", 0.0, 0.25),)


class NetworkDelay(FaultFamily):
    name = "network_delay"
    title = "Network delay"
    story = "Every packet to and from the service takes longer; whoever calls it waits, and so does it."
    callers_see = "Every call is slower by the same amount; time-outs where patience is short."
    symptoms = (
        Symptom(Drive.LATENCY, jump=1.0, per_minute=0.3, ceiling=3.0),
        Symptom(Drive.NETWORK, jump=0.02, ceiling=0.02),
        Symptom(Drive.CLIENT, jump=1.0, per_minute=0.3, ceiling=3.0),
        Symptom(Drive.SATURATION, jump=0.15, ceiling=0.15),
    )
    hidden = 0.6
    remedies = (
        Remedy("traffic_shift", "halt", "Traffic takes the short path to {service} again."),
        Remedy("extend_timeout", "ease", "Callers of {service} wait longer before they give up.", left=0.7),
    )
    dump = "Threads sit in read(); round trips to every peer are about equally longer."


class StaleRegistry(FaultFamily):
    name = "stale_registry"
    title = "Stale service registry"
    story = "The registry still lists instances that are gone. A fixed share of calls goes to nobody."
    callers_see = "A constant share of refused or timed-out calls; the rest is fine."
    symptoms = (
        Symptom(Drive.ERROR, jump=0.25, per_minute=0.06, ceiling=0.5),
        Symptom(Drive.LATENCY, jump=0.4, ceiling=0.4),
        Symptom(Drive.SILENCE, jump=0.25, ceiling=0.25),
    )
    hidden = 0.7
    remedies = (
        Remedy("rebalance_load", "halt", "Endpoint list of {service} refreshed; dead instances are gone."),
        Remedy("restart_service", "ease", "Restarted {service}. Old addresses are still listed.", left=0.7),
    )
    dump = "connect() fails for two of five resolved addresses, at once for the same two each time."
    extras = (Extra("registry_stale_instances", 0, 2),)


class InstanceLost(FaultFamily):
    name = "instance_lost"
    title = "Instances lost"
    story = (
        "Pods are killed or never become ready. Few answer, so little is measured there; what starts up anew "
        "takes cpu and memory before it serves."
    )
    callers_see = "Refused connections; their own errors rise and their calls become fewer."
    callees_see = "Traffic from it falls away."
    symptoms = (
        Symptom(Drive.SILENCE, jump=0.9, ceiling=0.9),
        Symptom(Drive.ERROR, jump=0.7, per_minute=0.2, ceiling=1.0),
        Symptom(Drive.RESTARTS, jump=1.0, ceiling=1.0),
        # A starting instance uses CPU, memory and threads before it serves.
        Symptom(Drive.CPU, jump=0.3, ceiling=0.3),
        Symptom(Drive.MEMORY, jump=0.25, ceiling=0.25),
        Symptom(Drive.SATURATION, jump=0.15, ceiling=0.15),
        Symptom(Drive.DISK, jump=0.06, ceiling=0.06),
        Symptom(Drive.LOGS, jump=0.2, ceiling=0.2),
    )
    hidden = 0.6
    remedies = (
        Remedy("restart_service", "halt", "Instances of {service} rescheduled and ready."),
        Remedy(
            "scale_replicas", "ease", "More instances of {service} requested; some become ready.", left=0.4
        ),
    )
    dump = "No process to attach to."
    extras = (Extra("deployment_ready_replicas", 3, 0),)
