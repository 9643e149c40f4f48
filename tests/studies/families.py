"""Generates FAMILIES.md and its plots from the fault families: `make families`."""

import hashlib
import json
from pathlib import Path

import altair
import numpy as np
import vl_convert

from data.faults.drives import Drive
from data.faults.families import fault_families
from data.simulator.active_faults import RunningFault
from data.simulator.batch.generate import run
from data.simulator.failover import CONVINCED_MINUTES, FAILS_CHECKS
from data.simulator.physics import MISSES, PROBES, TOLERANCE, TRIPS
from data.simulator.topology import BREAKERS, CACHED, FAILOVER, OUTBOX, from_calls
from data.simulator.world.logs import first_log_lines
from data.simulator.world.scenario import healthy_fleet

FILE = Path(__file__).resolve().parents[2] / "data" / "simulator" / "FAMILIES.md"
PLOTS = FILE.with_name("plots")
_UNITS = {
    Drive.ERROR: "of requests fail",
    Drive.LATENCY: "s more at the 99th percentile",
    Drive.CPU: "of the cpu limit",
    Drive.MEMORY: "of the free memory",
    Drive.SATURATION: "of pools, threads and queues",
    Drive.DESCRIPTORS: "more open files",
    Drive.DISK: "of the disk",
    Drive.NETWORK: "of packets lost or resent",
    Drive.SILENCE: "of the instances silent",
    Drive.GC: "ms more per collection",
    Drive.RESTARTS: "restarts",
    Drive.SURGE: "times the usual load on top",
    Drive.CLIENT: "s more on each call it makes",
    Drive.LOGS: "unusual lines a request",
}
# Panels of every family's plot, and panels by drive: (field of the state, title).
_ALWAYS = (("error_rate", "errors"), ("latency_s", "p99, s"), ("traffic", "traffic"))
_PUSHED = {
    Drive.CPU: ("cpu", "cpu"),
    Drive.MEMORY: ("memory", "memory"),
    Drive.SATURATION: ("saturation", "saturation"),
    Drive.DESCRIPTORS: ("descriptors", "open files"),
    Drive.DISK: ("disk", "disk"),
    Drive.NETWORK: ("network", "packets lost"),
    Drive.GC: ("gc_pause_ms", "gc pause, ms"),
    Drive.RESTARTS: ("restarts", "restarts"),
    Drive.CLIENT: ("client_latency_s", "waiting for callees, s"),
    Drive.LOGS: ("odd_logs", "unusual log lines"),
}
_SERVICES = {"gateway": "gateway", "service": "service", "store": "datastore"}  # {name: kind}
_TICKS, _TICK_MINUTES = 20, 0.5
_EFFECTS = {"halt": "ends it", "ease": "eases it for a while", "worsen": "makes it worse"}


def describe(family: str) -> str:
    """One family as Markdown."""
    fault = fault_families()[family]
    lines = [f"## {fault.title} (`{fault.name}`)", "", fault.story, ""]
    if fault.change:
        lines += [f"A fresh {fault.change} change of the service dates its onset.", ""]
    if fault.kinds:
        lines += [f"Strikes services of the kinds {', '.join(fault.kinds)}.", ""]
    lines += ["**At the service itself**, for a fault at pace 1:", ""]
    for drive, (onset, early, late) in _levels(family).items():
        lines.append(
            f"- {drive.name.lower()}: after {onset:g} min; {early:.4g} after 1 min, {late:.4g} after 8 min "
            f"({_UNITS[drive]})"
        )
    if fault.hidden:
        lines += ["", f"Of its errors and delays, {fault.hidden:.0%} are visible to its callers only."]
    lines += ["", f"**Callers see:** {fault.callers_see}", "", f"**Callees see:** {fault.callees_see}", ""]
    lines += ["**Remedies**", ""]
    lines += [f"- `{remedy.action}` {_EFFECTS[remedy.effect]}" for remedy in fault.remedies]
    lines.append("- anything else has no effect")
    if fault.extras:
        lines += ["", "**Metrics of its own**", ""]
        lines += [f"- `{extra.name}`: {extra.healthy} → {extra.broken}" for extra in fault.extras]
    lines += ["", "**Its logs**", "", "```text", *first_log_lines(family), "```", ""]
    lines += ["**One episode**: a gateway calls the service, the service calls a store", ""]
    lines += [f"![The three services over ten minutes](plots/{family}.svg)", ""]
    return "\n".join(lines)


def _levels(family: str) -> dict[Drive, tuple[float, float, float]]:
    """For every drive: minutes until it shows, its level after one minute and after eight."""
    fault = fault_families()[family]
    first: dict[Drive, float] = {}
    early: dict[Drive, float] = {}
    late: dict[Drive, float] = {}
    for step in range(1, 81):
        minutes = step / 10
        now = dict(fault.levels(minutes, 1.0))
        for drive, level in now.items():
            if level:
                first.setdefault(drive, minutes if step > 1 else 0.0)
        if step == 10:
            early = now
        late = now
    return {drive: (first[drive], early.get(drive, 0.0), late.get(drive, 0.0)) for drive in sorted(first)}


def chart(family: str) -> altair.FacetChart:
    """A plot of one episode: each affected signal, at the service and its two neighbours."""
    rng = np.random.default_rng(0)
    names = list(_SERVICES)
    topology = from_calls(names, list(_SERVICES.values()), [(0, 1), (1, 2)], rng, waiting=0.5)
    faults = [RunningFault(fault_families()[family], 1)]
    states = run(topology, healthy_fleet(rng, len(names)), faults, _TICK_MINUTES, _TICKS)
    panels = [*_ALWAYS, *(_PUSHED[drive] for drive in _levels(family) if drive in _PUSHED)]
    points = [
        {"minute": tick * _TICK_MINUTES, "signal": title, "who": name, "value": round(value, 4)}
        for field, title in panels
        for tick, state in enumerate(states)
        for name, value in zip(names, getattr(state, field).tolist(), strict=True)
    ]
    lines = (
        altair.Chart()
        .mark_line()
        .encode(
            x=altair.X("minute:Q", title="minutes", axis=altair.Axis(tickCount=5, grid=False)),
            y=altair.Y("value:Q", title=None, axis=altair.Axis(tickCount=3)),
            color=altair.Color("who:N", title=None, sort=names, legend=altair.Legend(orient="top")),
        )
        .properties(width=160, height=90)
    )
    titles = [title for _, title in panels]
    facet = altair.Facet("signal:N", title=None, sort=titles)
    plot = lines.facet(facet, data=altair.InlineData(values=points), columns=4)
    drawn: altair.FacetChart = plot.resolve_scale(y="independent").configure(aria=False)
    return drawn


def plot_fingerprint(plot: altair.FacetChart) -> str:
    """A hash of a plot's data and style."""
    spec = plot.to_dict()
    del spec["$schema"]
    return hashlib.sha256(json.dumps(spec, sort_keys=True).encode()).hexdigest()


def plot_family(family: str) -> str:
    """The plot of one episode as SVG, with its fingerprint in a comment at the end."""
    plot = chart(family)
    return f"{vl_convert.vegalite_to_svg(plot.to_dict())}\n<!-- {plot_fingerprint(plot)} -->\n"


def travel() -> str:
    """How faults spread, from the constants of the physics, as Markdown."""
    (outboxes, *outbox), (caches, *cached), (zones, *moved) = OUTBOX, CACHED, FAILOVER
    ways = (
        f"A callee that fails {TOLERANCE:.0%} of its calls or more makes its callers fail in turn, within "
        "minutes, unless they have a fallback; retries ask it again. Waiting adds up along synchronous "
        "calls, as far as time-outs allow. A full pool refuses.",
        f"{BREAKERS:.0%} of calls have a circuit breaker: once {TRIPS:.0%} of the caller's requests fail "
        f"because of that callee, only {PROBES:.0%} of the calls are still made, and nobody waits for them.",
        f"{zones:.0%} of services with a stand-in (a zone twin, another version, further instances) hand "
        f"{moved[0]:.0%} to {moved[1]:.0%} of their traffic over once they have failed {FAILS_CHECKS:.0%} of "
        f"requests for {CONVINCED_MINUTES:g} minutes: traffic drops there and rises at the stand-in.",
        f"Requests that a failing cache doesn't answer go to the store behind it: up to {1 + MISSES:g} times "
        "its usual load.",
        f"{outboxes:.0%} of producers have an outbox that hides a failing queue for {outbox[0]:g} to "
        f"{outbox[1]:g} minutes; {caches:.0%} of callers with a cache answer from it for {cached[0]:g} to "
        f"{cached[1]:g} minutes while the store behind it fails.",
    )
    return "\n".join(["## How faults travel", "", *(f"- {way}" for way in ways), ""])


def document() -> str:
    """The whole file."""
    head = [
        "# Fault families",
        "",
        "Generated by `make families` from `data/faults/families.toml`. Levels are for",
        "a fault at pace 1; difficulties run faults one to two times as fast.",
        "",
    ]
    return "\n".join([*head, travel(), *(describe(family) for family in fault_families())])


if __name__ == "__main__":
    FILE.write_text(document(), encoding="utf-8")
    PLOTS.mkdir(exist_ok=True)
    for _family in fault_families():
        (PLOTS / f"{_family}.svg").write_text(plot_family(_family), encoding="utf-8")
