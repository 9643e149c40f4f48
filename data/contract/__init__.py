"""The contract of an environment as rules that any implementation can be checked against."""
