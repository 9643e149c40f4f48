"""Investigates a running system: looks, rival suspects, a checked answer and the next action."""
