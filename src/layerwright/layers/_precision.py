"""The dtype for computations that need more than half precision."""


def at_least_float32(dtype: str) -> str:
    """Return float64 for float64 and float32 for every other compute dtype."""
    return "float64" if dtype == "float64" else "float32"
