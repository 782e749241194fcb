"""LW902."""

from collections.abc import Mapping
from typing import Any

from layerwright.core.case import Case, InputSpec
from layerwright.core.check import check
from layerwright.core.finding import Finding, failed, passed
from layerwright.trial.arguments import describe
from layerwright.trial.compare import bitwise_equal
from layerwright.trial.trial import Trial, blaming, restore, snapshot

FIX = (
    "Compute new tensors rather than change those given: `x = x * 2`, not `x *= 2` or torch's `x.mul_(2)`; copy a list "
    "or dict before changing it: `inputs = dict(inputs)`."
)


@check("LW902", "inputs-are-not-mutated", requires=("LW102",))
def inputs_are_not_mutated(trial: Trial) -> Finding:
    """A call leaves the tensors that it is given, and the list or dict that holds them, as they were.

    What it proves:
        After a call, in inference and in training, every tensor given has the values it had, and the structure given
        as inputs holds the same tensors under the same keys.

    Why it matters:
        The caller goes on using what it gave: the tensor of a residual connection, the batch that a metric reads
        next, on torch the NumPy array that shares its memory. On torch a change in place also ends in an autograd
        error, or in a wrong gradient.

    How it is tested:
        Tensors made for the purpose are given to a built layer and compared, bit by bit, with what they were made of.
        Keras itself copies lists and dicts on their way into a layer, but for layers that switch that off. On
        TensorFlow and JAX a tensor cannot be changed; there the structure is what is compared.

    Exempt when:
        Never.

    References:
        pytorch.org/docs, "Autograd mechanics": in-place operations with autograd; docs.jax.dev, "Common gotchas":
        in-place updates.
    """
    layer = trial.built()
    for training in (False, True):
        changed = _changed_by_call(trial, layer, training)
        if changed:
            return failed(f"a call with training={training} changed {', '.join(changed[:4])}; expected no change", FIX)
    return passed()


def _changed_by_call(trial: Trial, layer: Any, training: bool) -> list[str]:
    """Return the names of what a call changes: tensors, or the structure of the inputs."""
    import keras

    given = trial.usual.map(lambda array: keras.ops.convert_to_tensor(array.copy()))
    names, tensors = zip(*given.named_arrays(), strict=True)
    structure, variables = _structure(given.inputs), snapshot(layer.variables)
    keras.utils.set_random_seed(trial.seed)
    with blaming(f"calling it on {describe(trial.usual)}"), trial.backend.inference():
        layer(given.inputs, training=training, **given.call)
    restore(variables)
    changed = [
        name
        for name, tensor, array in zip(names, tensors, trial.usual.arrays(), strict=True)
        if not bitwise_equal(keras.ops.convert_to_numpy(tensor), array)
    ]
    return changed if _structure(given.inputs) == structure else [*changed, "the structure that holds the inputs"]


def _structure(tree: Any) -> Any:
    if isinstance(tree, Mapping):
        return {key: _structure(value) for key, value in tree.items()}
    return [_structure(value) for value in tree] if isinstance(tree, (list, tuple)) else id(tree)


def bad() -> Case:
    return _weighted(copies=False)


def good() -> Case:
    return _weighted(copies=True)


def _weighted(*, copies: bool) -> Case:
    import keras

    class Weighted(keras.layers.Layer):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self._convert_input_args = False  # Keras then hands on the very dict it is given

        def call(self, inputs):
            inputs = dict(inputs) if copies else inputs
            inputs["weights"] = keras.ops.cast(keras.ops.abs(inputs["weights"]), self.compute_dtype)
            return keras.ops.cast(inputs["values"], self.compute_dtype) * inputs["weights"]

    return Case(Weighted, inputs={"values": InputSpec((None, 5)), "weights": InputSpec((None, 1))})
