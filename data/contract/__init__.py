"""The environment contract as rules, to check any implementation against."""
