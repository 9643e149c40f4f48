"""Turns an incident into arrays: one row a service, one row a call."""
