"""Clients of an environment that runs as a server, and how one is found."""
