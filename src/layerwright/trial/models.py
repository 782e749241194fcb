"""The functional model around a layer that files and copies are tried on."""

import warnings
from typing import Any

import numpy as np

from layerwright.core.errors import LayerError
from layerwright.trial.arguments import Arguments
from layerwright.trial.compare import largest_difference
from layerwright.trial.trial import Trial, blaming, randomise

TOLERANCE = 1e-6


def build(trial: Trial, layer: Any) -> Any:
    """Build a layer without computing anything if it can be called symbolically, by calling it if not; return it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            trial.symbolic_call(layer, batch=trial.batch, free=False)
        except LayerError:
            trial.call(layer, trial.usual)
    return layer


def functional(trial: Trial, layer: Any, *, free_batch: bool = False) -> Any:
    """Return a functional model that calls the layer once, with one `keras.Input` for each tensor of the case.

    Every size is given, and unless `free_batch` that of the batch too: whether sizes may be unknown is not what files
    and copies are about.
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
    with blaming("calling it symbolically, as a functional model does,"):
        outputs = layer(given.inputs, **given.call)
        return keras.Model(symbols, [leaf for leaf in keras.tree.flatten(outputs) if leaf is not None])


def feed(trial: Trial) -> Arguments:
    """Return the usual arguments as such a model takes them."""
    return Arguments(trial.usual.arrays())


def align_seeds(source: Any, target: Any) -> None:
    """Give the random generators in `target` the state of those in `source`: Keras keeps it in no file."""
    for ours, theirs in zip(_not_weights(source), _not_weights(target), strict=False):
        if ours.shape == theirs.shape:
            theirs.assign(ours.value)


def lost_weights(before: Any, after: Any) -> str:
    """Say which weights of `before` have another value in `after`; empty if none has."""
    import keras

    ours, theirs = before.weights, after.weights
    if len(ours) != len(theirs):
        return f"{len(ours)} weights became {len(theirs)}"
    lost = [
        mine.path
        for mine, other in zip(ours, theirs, strict=True)
        if not np.array_equal(keras.ops.convert_to_numpy(mine.value), keras.ops.convert_to_numpy(other.value))
    ]
    return f"{len(lost)} of {len(ours)} weights have another value: {', '.join(lost[:4])}" if lost else ""


def move_weights(layer: Any) -> None:
    """Move the weights of a built layer off their initial values, and what it derives from them on loading."""
    import keras

    randomise(layer)
    for part in layer._flatten_layers():
        store: dict[str, Any] = {}
        with blaming("save_own_variables() and load_own_variables()"):
            part.save_own_variables(store)
            part.load_own_variables({key: keras.ops.convert_to_numpy(value) for key, value in store.items()})


def computes_otherwise(trial: Trial, before: Any, outputs: Any, after: Any, *, model: bool) -> str:
    """Say by how much `after`, a layer or a model around one, computes something else than the layer `before`.

    Empty if it does not, and where `before`, which gave `outputs`, does not even repeat itself.
    """
    difference = largest_difference(outputs, trial.call(after, feed(trial) if model else trial.usual))
    if difference <= TOLERANCE or not repeats(trial, before, trial.usual, outputs, training=None):
        return ""
    return f"the outputs differ by {difference:.3g}"


def repeats(trial: Trial, layer: Any, arguments: Arguments, outputs: Any, *, training: bool | None) -> bool:
    """Whether the layer, called once more, gives the same outputs: if not, it keeps state that no variable holds."""
    again = trial.call(layer, arguments, training=training)
    return largest_difference(outputs, again) <= TOLERANCE


def refuses_code(error: LayerError) -> bool:
    """Whether an error is Keras's refusal to load what can run any code, such as a Python lambda, in safe mode."""
    return "safe_mode=False" in str(error.error)


def _not_weights(layer: Any) -> list[Any]:
    weights = {id(weight) for weight in layer.weights}
    return [variable for variable in layer.variables if id(variable) not in weights]
