"""LW2: symbolic and real shapes, sizes, ranks, structures."""
