"""Published and simple rankers, one file each."""
