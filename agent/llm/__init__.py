"""Talks to models: prompts, replies, limits and budgets."""
