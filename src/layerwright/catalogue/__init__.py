"""Cases for layers that others wrote."""
