"""LW6: dtypes and dtype policies."""
