"""LW709."""

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
    "Let the names, shapes and layout of weights, and what get_config() and save_own_variables() write, be the same on "
    "every backend; do not branch on keras.config.backend() there."
)


@dataclass(frozen=True)
class Observation:
    """A model file, its weights, and what came of loading the first backend's.

    Attributes:
        file: The bytes of a `.keras` file written here.
        weights: The values of its weights.
        problem: What was wrong with the first backend's file here; empty if nothing, or if this is the first.
    """

    file: bytes
    weights: tuple[Array, ...]
    problem: str = ""


@check("LW709", "cross-backend-file", requires=("LW706",), across_backends=True)
def cross_backend_file(first: Observation, second: Observation) -> Finding:  # noqa: ARG001 - the second has the answer
    """A `.keras` file written on one backend loads on the others, with the same weights.

    What it proves:
        The file that the first backend writes loads on each other one; the loaded model has the saved weights, bit by
        bit, and computes what a layer constructed there computes with those weights.

    Why it matters:
        That a model trained on one backend is served on another is what the `.keras` format is for.

    How it is tested:
        Each backend runs in a process of its own. A functional model around the layer, its weights moved off their
        initial values, is saved on the first; the others load it.

    Exempt when:
        Never.

    References:
        keras.io, "Save, serialize, and export models"; keras.io, "Introducing Keras 3.0", cross-framework model files.
    """
    return failed(second.problem, FIX) if second.problem else passed()


def observe(trial: Trial, first: Observation | None) -> Observation:
    """Write a file, and load the first backend's."""
    import keras

    layer = trial.construct()
    model = functional(trial, layer)
    move_weights(layer)
    values = tuple(keras.ops.convert_to_numpy(weight.value) for weight in model.weights)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.keras")
        with blaming("saving a .keras file"):
            model.save(path)
        problem = "" if first is None else _problem(trial, layer, first, Path(folder, "first.keras"))
        return Observation(path.read_bytes(), values, problem)


def _problem(trial: Trial, layer: Any, first: Observation, path: Path) -> str:
    """Say what is wrong with the first backend's file, loaded here."""
    import keras

    path.write_bytes(first.file)
    try:
        with blaming("loading the file"):
            loaded = keras.models.load_model(
                path, custom_objects=custom_objects(trial, layer), compile=False, safe_mode=False
            )
    except LayerError as error:
        return f"loading the file raised {quote(error.error)}"
    values = [keras.ops.convert_to_numpy(weight.value) for weight in loaded.weights]
    difference = largest_difference(list(first.weights), values)
    if difference > 0:
        return f"the loaded weights differ from those that were saved: {_shapes(values)} by {difference:.3g}"
    return _outputs(trial, layer, loaded)


def _outputs(trial: Trial, layer: Any, loaded: Any) -> str:
    """Say by how much the loaded model differs from the layer with the loaded weights."""
    for ours, theirs in zip(layer.weights, loaded.weights, strict=True):
        ours.assign(theirs.value)
    if trial.case.traits.random or trial.case.traits.stateful:
        return ""
    expected = trial.call(layer, trial.usual)
    difference = largest_difference(expected, trial.call(loaded, Arguments(trial.usual.arrays())))
    return f"the loaded model's outputs differ by {difference:.3g}" if difference > TOLERANCE else ""


def _shapes(values: list[Any]) -> str:
    return ", ".join(str(tuple(value.shape)) for value in values[:4])


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
