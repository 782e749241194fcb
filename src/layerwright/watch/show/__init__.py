"""Reads a watched run from its folder and shows it."""
