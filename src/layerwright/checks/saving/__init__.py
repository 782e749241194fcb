"""LW7: configuration, files, copies."""
