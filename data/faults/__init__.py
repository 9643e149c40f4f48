"""Kinds of faults: what they do to a service, and what helps."""
