"""LW10: the same layer on every backend."""
