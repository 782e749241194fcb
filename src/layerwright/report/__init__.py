"""One rendering of a `Report` a file: for terminals, for programs, for GitHub."""
