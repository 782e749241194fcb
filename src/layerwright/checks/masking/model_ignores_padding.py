"""LW409 model-ignores-padding."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from layerwright.core.case import Case, InputSpec, Traits
from layerwright.core.check import check
from layerwright.core.finding import Finding, failed, passed, skipped
from layerwright.trial.arguments import Arguments, Array
from layerwright.trial.compare import leaves, relative_difference
from layerwright.trial.graph import Step, walk
from layerwright.trial.inputs import specs
from layerwright.trial.subject import lively, tolerance
from layerwright.trial.trial import Trial, restore, snapshot

MORE = 3
"""How many padded steps are added."""

FIX = (
    "Let each layer that combines steps take an argument `mask` and leave masked steps out, and let each layer before "
    "it pass the mask on: set `self.supports_masking = True` in its constructor. Check those layers by themselves too."
)


@check("LW409", "model-ignores-padding", requires=("LW901",), needs={"model": True}, models=True)
def model_ignores_padding(trial: Trial) -> Finding:
    """What a model computes does not depend on its padding.

    What it proves:
        Neither more padded steps at the end, nor other content at padded steps, changes the outputs: at steps that are
        not padded where an output has time steps, the whole output where it has none.

    Why it matters:
        A batch is padded to its longest sample. If padding leaks, a sample's prediction depends on the other samples
        that it happens to be batched with, and differs from the prediction for the sample alone. Keras drops a mask at
        the first layer that does not support it, and says so at most once.

    How it is tested:
        The inputs get zeros at the end, more in each further sample. Where the number of steps is free, three padded
        steps are added. Where an `Embedding` with `mask_zero` makes the mask, its row 0, which is what padding holds,
        is replaced, unless another layer uses the weights too. The message names the layer at which the mask ends, or
        else the first layer that padding changes.

    Exempt when:
        The case is not a whole model. Skipped if no layer of the model makes a mask from its inputs.

    References:
        keras.io, "Understanding masking & padding".
    """
    model = lively(trial)
    padded = _padded(trial, model)
    steps = walk(trial, model, padded)
    if not any(mask is not None for step in steps for mask in step.masks):
        return skipped("no layer of the model makes a mask from its inputs")
    inside = _inside(trial, padded)
    longer = _longer(trial, padded)
    if longer is not None:
        found = _changes(trial, padded, trial.call(model, longer, training=False), inside)
        if found > tolerance(trial):
            where = _where(trial, steps, walk(trial, model, longer), inside)
            return failed(f"{MORE} more padded steps change the outputs by {found:.3g}{_of_scale(trial)}{where}", FIX)
    for layer in _embeddings(model):
        before = snapshot(layer.trainable_variables + layer.non_trainable_variables)
        try:
            _replace_padding_row(trial, layer)
            found = _changes(trial, padded, trial.call(model, padded, training=False), inside)
            where = _where(trial, steps, walk(trial, model, padded), inside) if found > tolerance(trial) else ""
        finally:
            restore(before)
        if found > tolerance(trial):
            return failed(
                f"other content at padded steps (row 0 of `{layer.name}`) changes the outputs by {found:.3g}"
                f"{_of_scale(trial)}{where}",
                FIX,
            )
    return passed()


def _of_scale(trial: Trial) -> str:
    return f", relative to the largest value; expected at most {tolerance(trial):g}"


def _padded(trial: Trial, model: Any) -> Arguments:
    """Return the usual arguments with padding at the end: zeros, which no other step holds where inputs are ids."""
    value = next((layer.mask_value for layer in model._flatten_layers() if hasattr(layer, "mask_value")), None)
    arrays = []
    for spec, array in zip(specs(trial), trial.usual.arrays(), strict=True):
        valid = _valid(array) if array.ndim > 1 else None
        if valid is not None and array.dtype.kind in "iu" and array.ndim == 2:
            array = np.where(valid, np.maximum(array, 1 if (spec.high or 2) > 1 else 0), 0).astype(array.dtype)
        elif valid is not None and value is not None and array.ndim == 3:
            array = np.where(valid[..., None], array, value).astype(array.dtype)
        arrays.append(array)
    return trial.usual.replace_arrays(arrays)


def _valid(array: Array) -> Array:
    """Return which steps are no padding: the last ones are, more in each further sample, never all."""
    samples, steps = array.shape[:2]
    lengths = np.maximum(1, steps - np.arange(samples) % max(1, steps))
    return np.asarray(np.arange(steps) < lengths[:, None])


def _inside(trial: Trial, padded: Arguments) -> dict[int, Array]:
    """Return which steps are no padding, for each number of steps that an input has."""
    found = (array for array in padded.arrays() if array.ndim > 1)
    return {array.shape[1]: _valid(array) for array in found if array.shape[0] == trial.batch}


def _longer(trial: Trial, padded: Arguments) -> Arguments | None:
    """Return the arguments with more padding; None if the number of steps is fixed."""
    arrays, is_longer = [], False
    for spec, array in zip(specs(trial), padded.arrays(), strict=True):
        if len(spec.shape) > 1 and spec.shape[1] is None:
            end = array[-1:, -1:] if array.shape[0] > 1 else np.zeros_like(array[:, -1:])
            more = np.broadcast_to(end, (array.shape[0], MORE, *array.shape[2:]))
            array, is_longer = np.concatenate([array, more], axis=1), True
        arrays.append(array)
    return padded.replace_arrays(arrays) if is_longer else None


def _changes(trial: Trial, padded: Arguments, other: Any, inside: dict[int, Array]) -> float:
    """Return by how much outputs differ from the usual ones, at steps that are no padding."""
    usual = leaves(trial.call(lively(trial), padded, training=False))
    return max(_difference(a, b, inside) for a, b in zip(usual, leaves(other), strict=True))


def _difference(a: Array, b: Array, inside: dict[int, Array]) -> float:
    if a.ndim > 1 and a.shape[1] in inside and len(a) == len(inside[a.shape[1]]) and b.shape[1] >= a.shape[1]:
        valid = inside[a.shape[1]]
        return relative_difference(a[valid], b[:, : a.shape[1]][valid])
    if a.shape != b.shape:  # steps that are not the inputs': nothing says which of them are padding
        return 0.0
    return relative_difference(a, b)


def _where(trial: Trial, steps: list[Step], others: list[Step], inside: dict[int, Array]) -> str:
    """Say at which layer the mask ends, or which layer padding first changes."""
    maker = next((step.path for step in steps if any(mask is not None for mask in step.masks)), "")
    for step, other in zip(steps, others, strict=False):
        changed = any(
            _difference(a, b, inside) > tolerance(trial) and a.dtype.kind == "f"
            for a, b in zip(step.outputs, other.outputs, strict=True)
        )
        if step.masked_inputs and all(mask is None for mask in step.masks):
            if changed or any(out.ndim > 1 and out.shape[1] in inside for out in step.outputs):
                return f"; the mask that `{maker}` makes ends at `{step.path}`"
        elif changed:
            return f"; padding first changes the output of `{step.path}`"
    return ""


def _embeddings(model: Any) -> Iterator[Any]:
    """Yield the layers that make masks from ids and are used once."""
    for layer in model._flatten_layers():
        if getattr(layer, "mask_zero", False) and hasattr(layer, "embeddings") and len(layer._inbound_nodes) == 1:
            yield layer


def _replace_padding_row(trial: Trial, layer: Any) -> None:
    """Give the vector that padding holds other values, ten times as large as usual."""
    import keras

    table = np.array(keras.ops.convert_to_numpy(layer.embeddings))
    table[0] += np.asarray(10 * np.random.default_rng(trial.seed).standard_normal(table.shape[1]), table.dtype)
    layer.embeddings.assign(table)


def bad() -> Case:
    import keras

    class Mean(keras.layers.Layer):
        def call(self, inputs):
            return keras.ops.mean(inputs, axis=1)

    return _classifier_case(Mean, None)


def good() -> Case:
    import keras

    return _classifier_case(keras.layers.GlobalAveragePooling1D, 6)


def _classifier_case(pool: Any, steps: int | None) -> Case:
    import keras

    def classifier():
        tokens = keras.Input((steps,), dtype="int32")
        x = keras.layers.Embedding(9, 4, mask_zero=True)(tokens)
        return keras.Model(tokens, pool()(x))

    return Case(classifier, inputs=InputSpec((None, steps), "int32", high=9), traits=Traits(model=True))
