"""Offers ranking and explanations as tools over the Model Context Protocol."""
