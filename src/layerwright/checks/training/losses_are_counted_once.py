"""LW1003 losses-are-counted-once."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from layerwright.checks.training._losses import (
    SUFFIX,
    construct_with_recorders,
    construct_without_regularizers,
    loss_values,
    penalty,
    weight_losses,
    without_repeats,
)
from layerwright.core.case import Case
from layerwright.core.check import check
from layerwright.core.finding import Finding, failed, inconclusive, passed, skipped
from layerwright.trial.arguments import Arguments, Array, describe
from layerwright.trial.compare import leaves
from layerwright.trial.trial import Trial, blaming, randomise, restore, snapshot

FIX = (
    "Pass weight regularizers to `self.add_weight(…, regularizer=…)` and an activity regularizer to "
    "`super().__init__(activity_regularizer=…, **kwargs)`. Do not call `add_loss()` for them again, and do not keep a "
    "list of losses on `self`."
)
PRECISION = 1e-3
SEEDS = 4
"""The number of seeds under which losses must be equal to count as independent of random values."""


@check("LW1003", "losses-are-counted-once", requires=("LW901", "LW201"), exempt={"stateful": True})
def losses_are_counted_once(trial: Trial) -> Finding:
    """Losses from `add_loss` and regularizers are counted exactly once per call.

    What it proves:
        `layer.losses` contains only the losses of the last call. Each regularizer is applied exactly once to each
        tensor that it regularizes. A model that calls the layer twice trains on the losses of both calls, and on weight
        regularization once.

    Why it matters:
        Users rarely inspect the terms of a loss. If a penalty is added twice or never, the model trains on another loss
        than intended. If losses accumulate from call to call, they soon dominate the loss of the data.

    How it is tested:
        The check passes a recording regularizer for every constructor argument that ends in `_regularizer`. It compares
        the losses of three calls, and their sum with what the regularizers should add. It compares the sum with the
        losses of a functional model that calls the layer on two inputs. It also compares it with the loss that
        `train_on_batch` returns for a model that calls the layer once and has no other loss. All calls have
        `training=True`. The allowed relative difference is 1e-3.

    Exempt when:
        The layer declares `stateful`, or it adds no losses and its constructor takes no regularizer. If the losses
        depend on random values, the comparison with models is inconclusive.

    References:
        keras.io/api/layers/base_layer, "add_loss method"; keras.io/api/layers/regularizers.
    """
    layer, recorders = construct_with_recorders(trial)
    trial.call(layer, trial.usual, training=True)
    first = loss_values(layer)
    if not first and not recorders:
        return skipped("the layer adds no losses, and its constructor takes no regularizer")
    randomise(layer)
    trial.call(layer, trial.usual, training=True)
    second = loss_values(layer)
    for recorder in recorders.values():
        recorder.seen.clear()
    outputs = leaves(trial.call(layer, trial.usual, training=True))
    third = loss_values(layer)
    if len(first) != len(second) or not _are_close(sum(second), sum(third)):
        return failed(
            f"after three calls, layer.losses was {first}, then {second}, then {third}; expected the same number of "
            "losses each time, and the same sum after the last two calls",
            "Call `self.add_loss(…)` in `call()`, at every call, with a loss computed in that call. A loss added in "
            "`build()` counts for one call only.",
        )
    ignored = _unused_regularizers(layer, recorders)
    if ignored:
        return failed(
            f"the constructor takes {', '.join(ignored)}, but the layer never applies it; expected a loss from it", FIX
        )
    expected, found = _expected_losses(trial, layer, recorders, outputs), sum(third)
    if found > expected and not _are_close(found, expected):
        return failed(f"the losses of a call sum to {found:.6g}; expected {expected:.6g}, each counted once", FIX)
    return _compare_in_models(trial, layer) if third else passed()


def _are_close(one: float, other: float) -> bool:
    return math.isclose(one, other, rel_tol=PRECISION, abs_tol=1e-6) or (math.isnan(one) and math.isnan(other))


def _unused_regularizers(layer: Any, recorders: Mapping[str, Any]) -> list[str]:
    """Return the regularizer arguments that were never applied, although the layer has what they name."""
    names = {weight.path.rpartition("/")[2] for weight in layer.trainable_weights} | {"activity"}
    return [name for name, recorder in recorders.items() if not recorder.seen and name.removesuffix(SUFFIX) in names]


def _expected_losses(trial: Trial, layer: Any, recorders: Mapping[str, Any], outputs: list[Any]) -> float:
    """Return the sum of the losses of a call if each regularizer counts each tensor once."""
    import keras

    bare = construct_without_regularizers(trial)
    trial.call(bare, trial.usual, training=True)
    randomise(bare)
    trial.call(bare, trial.usual, training=True)
    total = sum(loss_values(bare))
    for recorder in recorders.values():
        count = _activity_penalty if recorder is layer.activity_regularizer else penalty
        arrays = without_repeats(recorder.seen, outputs)
        total += sum(float(keras.ops.convert_to_numpy(count(array))) for array in arrays)
    return total


def _activity_penalty(array: Array) -> float:
    """Return the penalty of an output as Keras computes it: some versions divide it by the batch size."""
    import keras

    identity = keras.layers.Identity(activity_regularizer=penalty)
    identity(array)
    return sum(loss_values(identity))


def _compare_in_models(trial: Trial, layer: Any) -> Finding:
    """Compare the losses of models that call the layer once or twice with the losses of single calls."""
    import keras

    usual, other = trial.usual, trial.arguments(seed=1)
    alone, state = [], snapshot(layer.non_trainable_variables)
    # Each call starts from the state that the previous one left.
    for seed, arguments in ((0, usual), *((seed, other) for seed in range(SEEDS))):
        Trial(trial.case, trial.seed + seed).call(layer, arguments, training=True, keep_state=True)
        alone.append(sum(loss_values(layer)))
    restore(state)
    if not all(_are_close(alone[1], again) for again in alone[2:]):
        return inconclusive(
            "the losses depend on random values or other state, so the losses in a model cannot be predicted"
        )
    twice = _model_that_calls(layer, [usual, other])
    with blaming("calling a functional model that calls the layer twice"):
        twice([keras.ops.convert_to_tensor(array) for array in [*usual.arrays(), *other.arrays()]], training=True)
    found, expected = sum(loss_values(twice)), alone[0] + alone[1] - weight_losses(layer)
    if not _are_close(found, expected):
        return failed(
            f"the losses of a model that calls the layer twice sum to {found:.6g}; expected {expected:.6g}, with "
            "weight regularization counted once",
            FIX,
        )
    model = _model_that_calls(layer, [usual])
    model.compile(optimizer=keras.optimizers.SGD(0.0), run_eagerly=True)
    with blaming(f"train_on_batch() on {describe(usual)}"):
        steps = [float(model.train_on_batch(usual.arrays())) for _ in range(2)]
    if not all(_are_close(step, alone[0]) for step in steps):
        return failed(
            f"two steps of train_on_batch() in a model without another loss returned {steps}; expected "
            f"{alone[0]:.6g}, the sum of the losses of a call",
            FIX,
        )
    return passed(losses=alone[0])


def _model_that_calls(layer: Any, calls: Sequence[Arguments]) -> Any:
    """Return a functional model that calls the layer on each of these arguments."""
    import keras

    symbols, outputs = [], []
    for arguments in calls:
        given = arguments.map(lambda array: keras.Input(batch_shape=array.shape, dtype=array.dtype.name))
        symbols += given.arrays()
        with blaming("calling the layer in a functional model"):
            outputs += leaves(layer(given.inputs, **given.call))
    return keras.Model(symbols, outputs)


def bad() -> Case:
    import keras

    class PenalisedTwice(keras.layers.Layer):
        def __init__(self, kernel_regularizer=None, **kwargs):
            super().__init__(**kwargs)
            self.kernel_regularizer = keras.regularizers.get(kernel_regularizer)

        def build(self, input_shape):
            self.kernel = self.add_weight(
                shape=(input_shape[-1], 3), regularizer=self.kernel_regularizer, name="kernel"
            )

        def call(self, inputs):
            if self.kernel_regularizer is not None:
                self.add_loss(self.kernel_regularizer(self.kernel))
            return keras.ops.matmul(inputs, self.kernel)

        def get_config(self):
            regularizer = keras.regularizers.serialize(self.kernel_regularizer)
            return {**super().get_config(), "kernel_regularizer": regularizer}

    return Case(PenalisedTwice, inputs=(None, 5))


def good() -> Case:
    import keras

    class PenalisedOnce(keras.layers.Layer):
        def __init__(self, kernel_regularizer=None, **kwargs):
            super().__init__(**kwargs)
            self.kernel_regularizer = keras.regularizers.get(kernel_regularizer)

        def build(self, input_shape):
            self.kernel = self.add_weight(
                shape=(input_shape[-1], 3), regularizer=self.kernel_regularizer, name="kernel"
            )

        def call(self, inputs):
            return keras.ops.matmul(inputs, self.kernel)

        def get_config(self):
            regularizer = keras.regularizers.serialize(self.kernel_regularizer)
            return {**super().get_config(), "kernel_regularizer": regularizer}

    return Case(PenalisedOnce, inputs=(None, 5))
