"""Reads telemetry files: one small class per format, recognised by content."""
