"""LW5: numerics and gradients."""
