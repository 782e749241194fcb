"""LW902 inputs-are-not-mutated."""

from collections.abc import Mapping
from typing import Any

from layerwright.core.case import Case, InputSpec
from layerwright.core.check import check
from layerwright.core.finding import Finding, failed, passed
from layerwright.trial.arguments import Array, describe
from layerwright.trial.compare import bitwise_equal
from layerwright.trial.trial import Trial, blaming, restore, snapshot

FIX = (
    "Compute new tensors instead of changing the inputs in place: `x = x * 2`, not `x *= 2` or torch's `x.mul_(2)`. "
    "Copy a list or dict before you change it: `inputs = dict(inputs)`."
)


@check("LW902", "inputs-are-not-mutated", requires=("LW102",), needs_tensors=True)
def inputs_are_not_mutated(trial: Trial) -> Finding:
    """A call does not modify its input tensors, or the list or dict that contains them.

    What it proves:
        After a call, in inference and in training, every input tensor has the same values as before. The list or dict
        of inputs contains the same tensors under the same keys.

    Why it matters:
        The caller uses its tensors again: for a residual connection, for a metric, or, on torch, through a NumPy array
        that shares their memory. On torch, an in-place change also causes an autograd error or a wrong gradient.

    How it is tested:
        The check calls a built layer on new tensors and compares them, bit by bit, with the arrays that they were made
        from. Keras copies lists and dicts before a call, except for layers that switch this off. On TensorFlow and JAX,
        tensors cannot be changed, so only the list or dict is compared.

    Exempt when:
        Never.

    References:
        pytorch.org/docs, "Autograd mechanics", on in-place operations; docs.jax.dev, "Common gotchas", on in-place
        updates.
    """
    layer = trial.built()
    for training in (False, True):
        changed = _changed_by_call(trial, layer, training)
        if changed:
            return failed(f"a call with training={training} modified {', '.join(changed[:4])}; expected no change", FIX)
    return passed()


def _changed_by_call(trial: Trial, layer: Any, training: bool) -> list[str]:
    """Return the names of the tensors that a call modifies, and a phrase for the structure of the inputs."""
    import keras

    given = trial.usual.map(lambda array: keras.ops.convert_to_tensor(array.copy()))
    names, tensors = zip(*given.named_arrays(), strict=True)
    structure, variables = _structure(given.inputs), snapshot(layer.variables)
    keras.utils.set_random_seed(trial.seed)
    with blaming(f"calling the layer on {describe(trial.usual)}"), trial.backend.inference():
        layer(given.inputs, training=training, **given.call)
    restore(variables)
    changed = [
        name
        for name, tensor, array in zip(names, tensors, trial.usual.arrays(), strict=True)
        if not _holds(tensor, array)
    ]
    return changed if _structure(given.inputs) == structure else [*changed, "the list or dict of inputs"]


def _structure(tree: Any) -> Any:
    if isinstance(tree, Mapping):
        return {key: _structure(value) for key, value in tree.items()}
    return [_structure(value) for value in tree] if isinstance(tree, (list, tuple)) else id(tree)


def _holds(tensor: Any, array: Array) -> bool:
    """Whether a tensor still holds the array's values."""
    import keras

    now = keras.ops.convert_to_numpy(tensor)
    if array.dtype.kind != "U":
        return bitwise_equal(now, array)
    return all(text.decode() == wanted for text, wanted in zip(now.flat, array.flat, strict=True))


def bad() -> Case:
    return _weighted(copies=False)


def good() -> Case:
    return _weighted(copies=True)


def _weighted(*, copies: bool) -> Case:
    import keras

    class Weighted(keras.layers.Layer):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self._convert_input_args = False  # Keras then passes the dict on without copying it

        def call(self, inputs):
            inputs = dict(inputs) if copies else inputs
            inputs["weights"] = keras.ops.cast(keras.ops.abs(inputs["weights"]), self.compute_dtype)
            return keras.ops.cast(inputs["values"], self.compute_dtype) * inputs["weights"]

    return Case(Weighted, inputs={"values": InputSpec((None, 5)), "weights": InputSpec((None, 1))})
