"""Reads telemetry of any origin into incidents: one file a format."""
