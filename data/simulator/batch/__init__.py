"""Simulated incidents by the thousand, with labels, to train on."""
