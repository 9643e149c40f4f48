"""The records of a run, and what is made from them."""
