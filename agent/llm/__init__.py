"""Everything said to and heard from a model."""
