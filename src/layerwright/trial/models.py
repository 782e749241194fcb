"""Build functional models around a layer, to save, load and copy them, and compare the results."""

import warnings
from typing import Any

import numpy as np

from layerwright.core.errors import LayerError
from layerwright.trial.arguments import Arguments
from layerwright.trial.compare import largest_difference
from layerwright.trial.generators import holds_generator
from layerwright.trial.paths import attribute_path
from layerwright.trial.trial import Trial, blaming, randomise

TOLERANCE = 1e-6
CALLS = 8


def build(trial: Trial, layer: Any) -> Any:
    """Build a layer by a symbolic call, which computes nothing, or by a real call if that fails. Return the layer."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            trial.symbolic_call(layer, batch=trial.batch, free=False)
        except LayerError:
            trial.call(layer, trial.usual)
    return layer


def functional(trial: Trial, layer: Any, *, free_batch: bool = False) -> Any:
    """Return a functional model that calls the layer once, with one `keras.Input` for each tensor of the case.

    All sizes are known, unless `free_batch` leaves the batch size open. Whether sizes may be unknown is checked
    elsewhere, not by the checks of files and copies.
    """
    import keras

    symbols = [
        keras.Input(
            batch_shape=(None if free_batch else array.shape[0], *array.shape[1:]),
            dtype="string" if array.dtype.kind in "USO" else array.dtype.name,
        )
        for array in trial.usual.arrays()
    ]
    given = trial.usual.replace_arrays(symbols)
    with blaming("calling the layer symbolically, as a functional model does,"):
        outputs = layer(given.inputs, **given.call)
        return keras.Model(symbols, [leaf for leaf in keras.tree.flatten(outputs) if leaf is not None])


def feed(trial: Trial) -> Arguments:
    """Return the usual arguments in the form that a model from `functional` takes."""
    return Arguments(trial.usual.arrays())


def align_seeds(source: Any, target: Any) -> None:
    """Copy the state of the random generators in `source` to those in `target`, because Keras saves it in no file."""
    for ours, theirs in zip(_variables_without_weights(source), _variables_without_weights(target), strict=False):
        if ours.shape == theirs.shape:
            theirs.assign(ours.value)


def lost_weights(before: Any, after: Any) -> str:
    """Say which weights of `before` have a different value in `after`; empty if none has."""
    import keras

    ours, theirs, layer = before.weights, after.weights, _layer_in_model(before)
    if len(ours) != len(theirs):
        return f"there are {len(theirs)} weights; expected {len(ours)}"
    lost = [
        attribute_path(layer, mine)
        for mine, other in zip(ours, theirs, strict=True)
        if not np.array_equal(keras.ops.convert_to_numpy(mine.value), keras.ops.convert_to_numpy(other.value))
    ]
    return f"{len(lost)} of {len(ours)} weights have a different value: {', '.join(lost[:4])}" if lost else ""


def move_weights(layer: Any) -> None:
    """Move the weights of a built layer off their initial values, and update what it derives from them on loading."""
    import keras

    randomise(layer)
    for part in layer._flatten_layers():
        store: dict[str, Any] = {}
        with blaming("calling save_own_variables() and load_own_variables()"):
            part.save_own_variables(store)
            part.load_own_variables({key: keras.ops.convert_to_numpy(value) for key, value in store.items()})


def computes_otherwise(trial: Trial, before: Any, outputs: Any, after: Any, *, model: bool) -> str:
    """Say by how much the outputs of `after`, a layer or a model around one, differ from `outputs` of `before`.

    Empty if they do not differ, or if `before` itself does not repeat its outputs.
    """
    difference = largest_difference(outputs, trial.call(after, feed(trial) if model else trial.usual))
    if difference <= TOLERANCE or not repeats(trial, before, trial.usual, outputs, training=None):
        return ""
    return f"the outputs differ by {difference:.3g} (relative to the largest value)"


def repeats(trial: Trial, layer: Any, arguments: Arguments, outputs: Any, *, training: bool | None) -> bool:
    """Whether the layer always gives the same outputs again. If not, it has state that is not in a variable.

    A layer may draw only sometimes: several calls are made, and a generator whose state is in no variable is enough.
    """
    if holds_generator(layer, of_keras=False):
        return False
    calls = (trial.call(layer, arguments, training=training) for _ in range(CALLS))
    return all(largest_difference(outputs, again) <= TOLERANCE for again in calls)


def refuses_code(error: LayerError) -> bool:
    """Whether Keras refused, because of safe mode, to load a config that can run code, such as a Python lambda."""
    return "safe_mode=False" in str(error.error)


def _layer_in_model(model: Any) -> Any:
    """Return the only layer of a functional model, or what is passed if it is something else."""
    import keras

    if not isinstance(model, keras.Model):
        return model
    inner = [layer for layer in model.layers if not isinstance(layer, keras.layers.InputLayer)]
    return inner[0] if len(inner) == 1 else model


def _variables_without_weights(layer: Any) -> list[Any]:
    weights = {id(weight) for weight in layer.weights}
    return [variable for variable in layer.variables if id(variable) not in weights]
