"""What a policy sees of a running incident, and what it may answer."""
