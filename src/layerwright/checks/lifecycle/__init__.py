"""LW1: construction, building, state, and the arguments that every layer takes."""
