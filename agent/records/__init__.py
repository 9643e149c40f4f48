"""What is kept of a run, and what can be made from it."""
