"""Teaches a model to decide: from good trajectories, then against the environment."""
