"""Alertmanager's webhooks in, diagnoses out: what is accepted is on disk, and no restart loses it."""
