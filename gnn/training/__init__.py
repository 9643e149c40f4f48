"""Turns labelled incidents into a checkpoint."""
