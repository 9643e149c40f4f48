"""One simulated incident, played step by step."""
