"""`tap`: a model that returns what layers inside a model return."""

from collections.abc import Iterable, Mapping
from typing import Any

import keras

from layerwright import backends
from layerwright.backends.interception import inner_layers, intercepted
from layerwright.layers._functions import takes


def tap(model: keras.Model, names: str | Iterable[str]) -> keras.Model:
    """Make a model that takes what `model` takes and returns what layers inside it return.

    It works on functional, sequential and subclassed models, and at any depth. The layers are shared: training the one
    model trains the other. With a loss on each name, `compile` trains intermediate outputs against targets of their
    own. The model is run whole; a compiler leaves out what is not returned.

    Args:
        model: The model.
        names: Paths of layers such as `"encoder/dense"`, or their names alone where no other layer inside has that
            name. A layer that is called several times has `"#0"`, `"#1"`, … after its name, for the calls in order.

    Returns:
        A model whose outputs are a dict by the names given, or a single output where `names` is one string.

    Raises:
        ValueError: If a name fits no layer, or several; or, on a call, if the layer is not called, is called several
            times and the name does not say which, or runs inside a compiled loop, as the cells of recurrent layers do.

    Example:
        >>> import keras
        >>> import numpy as np
        >>> from layerwright.layers import tap
        >>> model = keras.Sequential([keras.layers.Rescaling(2.0, name="double"), keras.layers.Dense(1)])
        >>> print(keras.ops.convert_to_numpy(tap(model, "double")(np.array([[1.0, 3.0]]))))
        [[2. 6.]]
    """
    tapped = Tapped(model, names if isinstance(names, str) else list(names))
    symbolic = getattr(model, "input", None)  # a sequential model has none before it is called
    if symbolic is None:
        symbolic = next(iter(getattr(model, "inputs", None) or []), None)
    if symbolic is not None:
        tapped(symbolic)
    return tapped


@keras.saving.register_keras_serializable(package="layerwright")
class Tapped(keras.Model):
    """What `tap` returns."""

    def __init__(self, model: keras.Model, names: str | list[str], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.model = model
        self.names = names
        self.supports_masking = True
        self._paths = {name: _path(model, name) for name in ([names] if isinstance(names, str) else names)}

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        """Run the model and return what the layers inside returned."""
        layers = inner_layers(self.model)
        outputs: dict[str, list[Any]] = {path: [] for path in self._paths.values()}
        here = backends.current().trace_state()

        def see(path: str, returned: Any) -> Any:
            if backends.current().trace_state() != here:
                raise ValueError(
                    f"tap: {path!r} runs inside a compiled loop, from which nothing gets out; tap the layer around it."
                )
            outputs[path].append(returned)
            return returned

        options = {"training": training, "mask": mask}
        given = {name: value for name, value in options.items() if value is not None and takes(self.model.call, name)}
        with intercepted({path: layers[path] for path in outputs}, see):
            self.model(inputs, **given)
        found = {name: _call_of(name, outputs[path]) for name, path in self._paths.items()}
        return found[self.names] if isinstance(self.names, str) else found

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> None:  # noqa: ARG002 - Keras's signature
        """Return None: the outputs have the masks that their layers gave them."""
        return

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), "model": keras.saving.serialize_keras_object(self.model), "names": self.names}

    @classmethod
    def from_config(cls, config: Mapping[str, Any], custom_objects: Any = None) -> "Tapped":
        """Make the model from what `get_config` returned."""
        model = keras.saving.deserialize_keras_object(config["model"], custom_objects=custom_objects)
        return cls(**{**config, "model": model})


def _path(model: keras.Model, name: str) -> str:
    """Return the path of the one layer that a name means."""
    layers = inner_layers(model)
    wanted = name.partition("#")[0]
    found = [wanted] if wanted in layers else [path for path in layers if path.endswith(f"/{wanted}")]
    if len(found) == 1:
        return found[0]
    if found:
        raise ValueError(f"tap: {len(found)} layers are called {wanted!r}; take one of {', '.join(found)}.")
    built = "" if model.built else " (call the model once first: layers may be made when it is built)"
    raise ValueError(f"tap: there is no layer {wanted!r} inside{built}; there are {', '.join(layers) or 'none'}.")


def _call_of(name: str, returned: list[Any]) -> Any:
    """Return what the call that a name means has returned."""
    wanted, _, number = name.partition("#")
    if not returned:
        raise ValueError(f"tap: {wanted!r} was not called.")
    if not number and len(returned) > 1:
        choices = ", ".join(f"{wanted}#{call}" for call in range(len(returned)))
        raise ValueError(f"tap: {wanted!r} was called {len(returned)} times; take one of {choices}.")
    if number and (not number.isdecimal() or int(number) >= len(returned)):
        raise ValueError(
            f"tap: {name!r} is no call of {wanted!r}, which was called {len(returned)} times; count from 0."
        )
    return returned[int(number or 0)]
