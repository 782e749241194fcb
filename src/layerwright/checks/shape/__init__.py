"""LW2: shapes, sizes, ranks and structures, symbolic and actual."""
