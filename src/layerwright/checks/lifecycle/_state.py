"""The state of a layer: variables that it can reach, variables that a call creates, its build and its config."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from layerwright.core.errors import LayerError
from layerwright.trial.compare import bitwise_equal
from layerwright.trial.reachable import reachable
from layerwright.trial.trial import Trial


def reachable_variables(trial: Trial, layer: Any) -> list[tuple[str, Any]]:
    """Return every variable, Keras's or the framework's own, that can be reached from the layer, each with its path.

    Paths lead through attributes, containers, plain objects and sublayers. Metrics, optimizers and initializers manage
    their own variables and are left out.
    """
    import keras

    return reachable(layer, lambda value: isinstance(value, keras.Variable) or trial.backend.is_native_variable(value))


def untracked_variables(trial: Trial, layer: Any) -> list[tuple[str, Any]]:
    """Return the reachable variables that are neither in `layer.variables` nor the tensor inside one of them."""
    tracked = [*layer.variables, *layer.metrics_variables]
    known = {id(variable) for variable in tracked} | {id(variable.value) for variable in tracked}
    return [(path, variable) for path, variable in reachable_variables(trial, layer) if id(variable) not in known]


def describe_variable(variable: Any) -> str:
    """Return a variable's kind and shape in words."""
    import keras

    kind = "keras.Variable" if isinstance(variable, keras.Variable) else f"raw {type(variable).__name__}"
    return f"{kind} of shape {tuple(variable.shape)}"


@contextmanager
def created_variables() -> Iterator[list[Any]]:
    """Collect every `keras.Variable` that is created within the context, whether or not anything keeps it."""
    import keras

    made: list[Any] = []
    original = keras.Variable.__init__

    def recording(self: Any, *args: Any, **kwargs: Any) -> None:
        made.append(self)
        original(self, *args, **kwargs)

    keras.Variable.__init__ = recording
    try:
        yield made
    finally:
        keras.Variable.__init__ = original


def overrides_build(layer: Any) -> bool:
    """Whether the layer's class defines `build` itself."""
    import keras

    return type(layer).build is not keras.layers.Layer.build


def build_as_loading_does(layer: Any, source: Any) -> None:
    """Build the layer from the build config of `source`, a built layer of the same case.

    Raises:
        LayerError: If the layer raises.
    """
    config = None
    try:
        config = source.get_build_config()
        if config:
            layer.build_from_config(config)
    except Exception as error:
        raise LayerError(f"building it from its build config {config}", error) from error


def config_text(layer: Any) -> str | None:
    """Return the layer's config as text, or None if it has none or gives a different text each time."""
    try:
        first, second = str(layer.get_config()), str(layer.get_config())
    # The checks of the saving family report a layer without a config.
    except Exception:
        return None
    return first if first == second else None


def outputs_changed(trial: Trial, layer: Any, outputs: Any) -> bool:
    """Whether the layer's outputs on the usual arguments differ from `outputs`, although they repeat."""
    now = trial.call(layer, trial.usual)
    return not bitwise_equal(outputs, now) and bitwise_equal(now, trial.call(layer, trial.usual))
