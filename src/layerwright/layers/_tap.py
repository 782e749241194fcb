"""`tap`: creates a model that returns the outputs of layers inside a model."""

from collections.abc import Iterable, Mapping
from typing import Any

import keras

from layerwright import backends
from layerwright.backends.interception import inner_layers, intercepted
from layerwright.layers._functions import accepts_argument


def tap(model: keras.Model, names: str | Iterable[str]) -> keras.Model:
    """Create a model with the same inputs as `model` that returns the outputs of layers inside it.

    This works for functional, sequential and subclassed models, at any depth. Both models share their layers, so
    training one model trains the other. To train intermediate outputs, pass `compile` a loss for each name. Each call
    runs the whole model; a compiled call skips what no output needs.

    Args:
        model: The model.
        names: Paths of layers, such as `"encoder/dense"`. The name of a layer is enough if no other layer has it. If
            a layer is called several times, append the number of the call: `"dense#0"`, `"dense#1"` and so on.

    Returns:
        A model that returns a dict with one entry for each name; for a single string, one output without a dict.

    Raises:
        ValueError: If a name matches no layer or several layers. From a call, if the layer was not called, if it was
            called several times and the name has no number, or if it runs inside a compiled loop, like the cell of a
            recurrent layer.

    Example:
        >>> import keras
        >>> import numpy as np
        >>> from layerwright.layers import tap
        >>> model = keras.Sequential([keras.layers.Rescaling(2.0, name="double"), keras.layers.Dense(1)])
        >>> print(keras.ops.convert_to_numpy(tap(model, "double")(np.array([[1.0, 3.0]]))))
        [[2. 6.]]
    """
    tapped = Tapped(model, names if isinstance(names, str) else list(names))
    symbolic = getattr(model, "input", None)  # a sequential model has no input before its first call
    if symbolic is None:
        symbolic = next(iter(getattr(model, "inputs", None) or []), None)
    if symbolic is not None:
        tapped(symbolic)
    return tapped


@keras.saving.register_keras_serializable(package="layerwright")
class Tapped(keras.Model):
    """The model that `tap` returns."""

    def __init__(self, model: keras.Model, names: str | list[str], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.model = model
        self.names = names
        self.supports_masking = True
        self._paths = {name: _resolve_path(model, name) for name in ([names] if isinstance(names, str) else names)}

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        """Run the model and return the outputs of the layers inside it."""
        layers = inner_layers(self.model)
        outputs: dict[str, list[Any]] = {path: [] for path in self._paths.values()}
        trace_state = backends.current().trace_state()

        def collect(path: str, returned: Any) -> Any:
            if backends.current().trace_state() != trace_state:
                raise ValueError(
                    f"tap: {path!r} runs inside a compiled loop, and its outputs cannot leave the loop; tap the layer "
                    "that contains it."
                )
            outputs[path].append(returned)
            return returned

        options = {"training": training, "mask": mask}
        accepted = {
            name: value
            for name, value in options.items()
            if value is not None and accepts_argument(self.model.call, name)
        }
        with intercepted({path: layers[path] for path in outputs}, collect):
            self.model(inputs, **accepted)
        found = {name: _select_call(name, outputs[path]) for name, path in self._paths.items()}
        return found[self.names] if isinstance(self.names, str) else found

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> None:  # noqa: ARG002 - Keras's signature
        """Return None: each output already has the mask that its layer computed."""
        return

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), "model": keras.saving.serialize_keras_object(self.model), "names": self.names}

    @classmethod
    def from_config(cls, config: Mapping[str, Any], custom_objects: Any = None) -> "Tapped":
        """Create the model from the result of `get_config`."""
        model = keras.saving.deserialize_keras_object(config["model"], custom_objects=custom_objects)
        return cls(**{**config, "model": model})


def _resolve_path(model: keras.Model, name: str) -> str:
    """Return the path of the only layer that matches a name."""
    layers = inner_layers(model)
    wanted = name.partition("#")[0]
    found = [wanted] if wanted in layers else [path for path in layers if path.endswith(f"/{wanted}")]
    if len(found) == 1:
        return found[0]
    if found:
        raise ValueError(f"tap: {len(found)} layers are named {wanted!r}; use one of the paths {', '.join(found)}.")
    unbuilt = "" if model.built else " The model is not built; call it once first, because it may create layers then."
    raise ValueError(f"tap: the model has no layer {wanted!r}; its layers are {', '.join(layers) or 'none'}.{unbuilt}")


def _select_call(name: str, returned: list[Any]) -> Any:
    """Return the outputs of the call that the name's number selects."""
    wanted, _, number = name.partition("#")
    if not returned:
        raise ValueError(f"tap: the model did not call the layer {wanted!r}; tap a layer that it calls.")
    if not number and len(returned) > 1:
        choices = ", ".join(f"{wanted}#{call}" for call in range(len(returned)))
        raise ValueError(f"tap: {wanted!r} was called {len(returned)} times; use one of {choices}.")
    if number and (not number.isdecimal() or int(number) >= len(returned)):
        raise ValueError(
            f"tap: {name!r} does not exist, because {wanted!r} was called {len(returned)} times; the numbers go from 0 "
            f"to {len(returned) - 1}."
        )
    return returned[int(number or 0)]


__all__ = ["tap"]
