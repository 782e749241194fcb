"""LW709 cross-backend-file."""

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from layerwright.checks.saving._names import custom_objects
from layerwright.core.case import Case
from layerwright.core.check import check
from layerwright.core.errors import LayerError, quote
from layerwright.core.finding import Finding, failed, passed
from layerwright.trial.arguments import Arguments, Array
from layerwright.trial.compare import largest_difference
from layerwright.trial.models import TOLERANCE, functional, move_weights
from layerwright.trial.trial import Trial, blaming

FIX = (
    "Make weight names and shapes, `get_config()` and `save_own_variables()` the same on every backend: remove "
    "branches on `keras.config.backend()` from them."
)


@dataclass(frozen=True)
class Observation:
    """A model file written on this backend, and the result of loading the first backend's file.

    Attributes:
        file: The bytes of a `.keras` file written on this backend.
        weights: The values of its weights.
        problem: What went wrong with the first backend's file here; empty if nothing did or if this is the first.
    """

    file: bytes
    weights: tuple[Array, ...]
    problem: str = ""


@check("LW709", "cross-backend-file", requires=("LW706",), across_backends=True, needs_tensors=True, models=True)
def cross_backend_file(first: Observation, second: Observation) -> Finding:  # noqa: ARG001 - the second has the answer
    """A `.keras` file saved on one backend loads on the others with the same weights.

    What it proves:
        The file that the first backend saves loads on each other backend. The loaded model has the saved weights, bit
        by bit. It gives the outputs of a layer that was constructed on that backend and has the same weights.

    Why it matters:
        The `.keras` format lets users train a model on one backend and deploy it on another.

    How it is tested:
        Each backend runs in its own process. On the first backend, the check changes the layer's weights from their
        initial values and saves a functional model around it. The other backends load the file and compare.

    Exempt when:
        Never.

    References:
        keras.io, "Save, serialize, and export models"; keras.io, "Introducing Keras 3.0", cross-framework model files.
    """
    return failed(second.problem, FIX) if second.problem else passed()


def observe(trial: Trial, first: Observation | None) -> Observation:
    """Write a file on this backend, and load the first backend's file."""
    import keras

    layer = trial.construct()
    model = functional(trial, layer)
    move_weights(layer)
    values = tuple(keras.ops.convert_to_numpy(weight.value) for weight in model.weights)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.keras")
        with blaming("saving a .keras file"):
            model.save(path)
        problem = "" if first is None else _problem_with_file(trial, layer, first, Path(folder, "first.keras"))
        return Observation(path.read_bytes(), values, problem)


def _problem_with_file(trial: Trial, layer: Any, first: Observation, path: Path) -> str:
    """Say what is wrong with the first backend's file when it is loaded here."""
    import keras

    path.write_bytes(first.file)
    try:
        with blaming("loading the file"):
            loaded = keras.models.load_model(
                path, custom_objects=custom_objects(trial, layer), compile=False, safe_mode=False
            )
    except LayerError as error:
        return f"loading the other backend's .keras file raised {quote(error.error)}"
    values = [keras.ops.convert_to_numpy(weight.value) for weight in loaded.weights]
    difference = largest_difference(list(first.weights), values)
    if difference > 0:
        return f"the loaded weights, {_shapes(values)}, differ from the saved ones by {difference:.3g}; expected 0"
    return _problem_with_outputs(trial, layer, loaded)


def _problem_with_outputs(trial: Trial, layer: Any, loaded: Any) -> str:
    """Say by how much the outputs of the loaded model differ from those of the layer with the same weights."""
    for ours, theirs in zip(layer.weights, loaded.weights, strict=True):
        ours.assign(theirs.value)
    if trial.case.traits.random or trial.case.traits.stateful:
        return ""
    expected = trial.call(layer, trial.usual)
    difference = largest_difference(expected, trial.call(loaded, Arguments(trial.usual.arrays())))
    if difference <= TOLERANCE:
        return ""
    return f"the outputs of the loaded model differ by {difference:.3g} from those of a layer with the same weights"


def _shapes(values: list[Any]) -> str:
    return "of shape " + ", ".join(str(tuple(value.shape)) for value in values[:4])


def bad() -> Case:
    import keras

    class Scale(keras.layers.Layer):
        def build(self, input_shape):
            self.scale = self.add_weight(shape=(input_shape[-1],), initializer="ones", name="scale")

        def call(self, inputs):
            return inputs * self.scale

        def save_own_variables(self, store):
            store[keras.config.backend()] = keras.ops.convert_to_numpy(self.scale)

        def load_own_variables(self, store):
            self.scale.assign(store[keras.config.backend()])

    return Case(Scale, inputs=(None, 5))


def good() -> Case:
    import keras

    class Scale(keras.layers.Layer):
        def build(self, input_shape):
            self.scale = self.add_weight(shape=(input_shape[-1],), initializer="ones", name="scale")

        def call(self, inputs):
            return inputs * self.scale

    return Case(Scale, inputs=(None, 5))
