"""The few things that Keras has no backend-neutral call for: one file a backend, the same functions in each."""

import importlib
import importlib.util
from typing import TYPE_CHECKING, cast

from layerwright.core.errors import UsageError

if TYPE_CHECKING:
    from layerwright.backends.protocol import Backend

BACKENDS = ("tensorflow", "jax", "torch")


def installed() -> tuple[str, ...]:
    """Return the backends whose package can be imported here. Imports none of them."""
    return tuple(name for name in BACKENDS if importlib.util.find_spec(name) is not None)


def current() -> "Backend":
    """Return the adapter of the backend that this process's Keras runs on.

    Raises:
        UsageError: If it is a backend that Layerwright does not know.
    """
    import keras

    name = keras.backend.backend()
    if name not in BACKENDS:
        raise UsageError(f"Keras runs on {name!r} here; Layerwright knows {', '.join(BACKENDS)}. Set KERAS_BACKEND.")
    return cast("Backend", importlib.import_module(f"layerwright.backends.{name}"))
