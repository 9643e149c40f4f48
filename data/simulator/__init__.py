"""The incident simulator: call graphs, faults, propagation, telemetry, actions and grading."""
