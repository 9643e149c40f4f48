"""What the graph suggests: features, the graph network, training, rankers and their metrics."""
