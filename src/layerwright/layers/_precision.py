"""In which dtype to compute what half precision does not bear."""


def at_least_float32(dtype: str) -> str:
    """Return float64 for float64 and float32 for every other compute dtype."""
    return "float64" if dtype == "float64" else "float32"
