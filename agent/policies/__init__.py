"""Chooses the next action: the model, the rules, the original rules, and the guard over all."""
