"""LW4: masks and padding."""
