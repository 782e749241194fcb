"""Custom layers of reference quality. Each file holds one layer and its float64 NumPy reference.

The docstring of a layer states its formula, its source, the shapes of its arguments and its use of masks. This package
exports every name in the `__all__` of its modules: the layer, and aliases that articles on custom Keras layers use.
"""

import importlib
import pkgutil
import typing

__all__: list[str] = []

for _name in sorted(info.name for info in pkgutil.iter_modules(__path__)):
    _module = importlib.import_module(f"{__name__}.{_name}")
    for _public in getattr(_module, "__all__", ()):
        globals()[_public] = getattr(_module, _public)
        __all__.append(_public)
del _name, _module, _public


def __getattr__(name: str) -> typing.Any:
    raise AttributeError(f"module 'layerwright.layers' has no attribute {name!r}; its names are {', '.join(__all__)}.")
