"""Plays tasks: one episode, or many at once."""
