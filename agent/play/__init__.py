"""Plays tasks, one or many at once."""
