"""Telemetry in files: one small class a format, told apart by content."""
