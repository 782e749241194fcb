"""LW10: training, memory and cost."""
