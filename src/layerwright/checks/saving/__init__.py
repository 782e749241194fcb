"""LW7: configuration, files and copies."""
