"""What a policy sees of a running incident, and the form of its decision."""
