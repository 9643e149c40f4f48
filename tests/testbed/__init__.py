"""A small shop of real processes with real faults, watched by a real Prometheus."""
