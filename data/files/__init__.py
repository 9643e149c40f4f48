"""Reads and writes files safely: JSON, JSON lines, atomic writes."""
