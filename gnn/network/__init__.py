"""The graph network: tensors in, scores out."""
