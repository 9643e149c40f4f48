"""The embedded incident world: call graphs, faults, propagation, telemetry, actions, the grade."""
