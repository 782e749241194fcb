"""LW8: what tracing and compiling do to a layer."""
