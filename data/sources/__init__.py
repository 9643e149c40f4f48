"""Reads telemetry of any origin into incidents: one file per format."""
