"""What to do about an exception of the layer that a check did not expect."""

import sys

from layerwright.core.check import Check
from layerwright.core.errors import LayerError

REMEDIES = {
    "constructing the layer": "Make the constructor work every time it is called with these arguments. It must not "
    "change them, and must not depend on other layers that were made before.",
    "get_config()": "Return a dict from `get_config()`, with every constructor argument: "
    "`{**super().get_config(), 'units': self.units}`.",
    "writing the layer's config as JSON": "Return only numbers, strings, booleans, lists and dicts from "
    "`get_config()`. Serialize other objects with `keras.saving.serialize_keras_object`.",
    "calling the layer symbolically": "Let the layer be called on `keras.Input(…)`, whose sizes may be None and which "
    "has no values: read sizes with `ops.shape(x)`, compute only with `keras.ops`, and define "
    "`compute_output_shape` if Keras cannot work it out.",
    "calling the layer on": "Make the layer work on these inputs, or raise a ValueError that says what it needs.",
}
"""What to do, by what the exception interrupted."""


def fix_for(check: Check, error: LayerError) -> str:
    """Return what to do about an exception of the layer that ended a check.

    What was being done decides. If it was what only this check does, such as compiling or loading, the check's own
    advice holds.
    """
    for doing, remedy in REMEDIES.items():
        if error.doing.startswith(doing):
            return remedy
    own = getattr(sys.modules[check.function.__module__], "FIX", None)
    return own or f"Make the layer work there, or raise a clear ValueError; see `layerwright explain {check.code}`."
