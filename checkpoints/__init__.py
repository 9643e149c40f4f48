"""Shipped weights and where they came from; each folder holds a card that explains it."""
