"""The few operations for which Keras has no backend-neutral function. One file per backend, with the same functions."""

import importlib
import importlib.util
from typing import TYPE_CHECKING, cast

from layerwright.core.errors import UsageError

if TYPE_CHECKING:
    from layerwright.backends.protocol import Backend

BACKENDS = ("tensorflow", "jax", "torch")


def installed() -> tuple[str, ...]:
    """Return the backends whose package is installed. This imports none of them."""
    return tuple(name for name in BACKENDS if importlib.util.find_spec(name) is not None)


def current() -> "Backend":
    """Return the module for the backend that Keras uses in this process.

    Raises:
        UsageError: If Layerwright does not support that backend.
    """
    import keras

    name = keras.backend.backend()
    if name not in BACKENDS:
        raise UsageError(
            f"Keras uses the backend {name!r}, but Layerwright supports {', '.join(BACKENDS)}; set the environment "
            "variable KERAS_BACKEND to one of these."
        )
    return cast("Backend", importlib.import_module(f"layerwright.backends.{name}"))
