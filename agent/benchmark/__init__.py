"""Compares rankers and policies on the same tasks, in pairs."""
