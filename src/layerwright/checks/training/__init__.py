"""LW10: training, memory use and cost."""
