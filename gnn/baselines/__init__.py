"""Published and simple rankers behind the same protocol as the network, one file each."""
