"""The catalogue: one check a file, in a folder a family."""
