"""LW3: the batch, time and feature axes."""
