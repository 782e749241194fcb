"""Custom layers of reference quality: formula, source, mask and streaming stated, a NumPy reference beside each.

One layer a file. What a module here lists in `__all__` can be imported from here: the layer, and the same class under
the names that articles on custom Keras layers use.
"""

import importlib
import pkgutil
from typing import Any

__all__: list[str] = []

for _name in sorted(info.name for info in pkgutil.iter_modules(__path__)):
    _module = importlib.import_module(f"{__name__}.{_name}")
    for _public in getattr(_module, "__all__", ()):
        globals()[_public] = getattr(_module, _public)
        __all__.append(_public)
del _name, _module, _public


def __getattr__(name: str) -> Any:
    raise AttributeError(f"layerwright.layers has no {name!r}; it has {', '.join(__all__)}")
