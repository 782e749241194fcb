"""One rendering of a `Report` a file."""
