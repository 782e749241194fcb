"""LW8: tracing, compilation and export."""
