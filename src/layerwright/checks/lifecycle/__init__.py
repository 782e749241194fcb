"""LW1: construction, building, state and the arguments every layer takes."""
