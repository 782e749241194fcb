"""LW9: purity, state and randomness."""
