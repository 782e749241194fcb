"""A watched run, read back from its folder and shown."""
