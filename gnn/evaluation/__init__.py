"""Evaluates how often rankers are right, and how far their probabilities can be trusted."""
