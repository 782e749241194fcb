"""LW1003."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from layerwright.checks.training._losses import SUFFIX, loss_values, once, penalty, plain, regularised, weight_losses
from layerwright.core.case import Case
from layerwright.core.check import check
from layerwright.core.finding import Finding, failed, inconclusive, passed, skipped
from layerwright.trial.arguments import Arguments, Array, describe
from layerwright.trial.compare import leaves
from layerwright.trial.trial import Trial, blaming, randomise, restore, snapshot

REPEATED = (
    "Leave weights to add_weight(regularizer=…) and outputs to super().__init__(activity_regularizer=…), and do not "
    "call add_loss() for them as well; keep no list of losses on self."
)
PRECISION = 1e-3
SEEDS = 4
"""Under how many seeds losses are equal before they are taken not to change with them."""


@check("LW1003", "losses-are-counted-once", requires=("LW901", "LW201"), exempt={"stateful": True})
def losses_are_counted_once(trial: Trial) -> Finding:
    """What `add_loss` and regularisers add is counted once a call: neither doubled nor piled up nor lost.

    What it proves:
        The losses of a call are those of that call; each regulariser acts, once for what it regularises; and a model
        that calls the layer twice trains on the losses of both calls and on those of the weights once.

    Why it matters:
        Nobody looks at the terms of a loss. A penalty that is added twice, or never, trains another model than the one
        described, and one that grows with every call drowns the data.

    How it is tested:
        Every constructor argument that ends in `_regularizer` is given a regulariser that remembers what it was asked
        about. The losses of three calls are compared, then their sum with what the regularisers should add, with the
        losses of a functional model that calls the layer on two inputs, and with what `train_on_batch` returns for one
        that calls it once and has no other loss. All with `training=True`, to 1e-3.

    Exempt when:
        The layer declares `stateful`; or it adds no losses and its constructor names no regulariser. One whose losses
        change with its random draws is not tried in a model.

    References:
        keras.io/api/layers/base_layer, "add_loss method"; keras.io/api/layers/regularizers.
    """
    layer, recorders = regularised(trial)
    trial.call(layer, trial.usual, training=True)
    first = loss_values(layer)
    if not first and not recorders:
        return skipped("the layer adds no losses, and its constructor names no regularizer")
    randomise(layer)
    trial.call(layer, trial.usual, training=True)
    second = loss_values(layer)
    for recorder in recorders.values():
        recorder.seen.clear()
    outputs = leaves(trial.call(layer, trial.usual, training=True))
    third = loss_values(layer)
    if len(first) != len(second) or not _agree(sum(second), sum(third)):
        return failed(
            f"three calls left {first}, {second} and {third} as losses; expected as many each time, and equal ones "
            "from equal weights",
            "Call add_loss() in call(), at every call, on what that call computed; in build() it counts for one call.",
        )
    ignored = _ignored(layer, recorders)
    if ignored:
        return failed(f"the constructor takes {', '.join(ignored)} and never applies it", REPEATED)
    expected, found = _expected(trial, layer, recorders, outputs), sum(third)
    if found > expected and not _agree(found, expected):
        return failed(f"the losses of a call sum to {found:.6g}; each counted once they are {expected:.6g}", REPEATED)
    return _in_models(trial, layer) if third else passed()


def _agree(one: float, other: float) -> bool:
    return math.isclose(one, other, rel_tol=PRECISION, abs_tol=1e-6) or (math.isnan(one) and math.isnan(other))


def _ignored(layer: Any, recorders: Mapping[str, Any]) -> list[str]:
    """Return the regularisers that were asked nothing, though the layer has outputs, or a weight, of their name."""
    names = {weight.path.rpartition("/")[2] for weight in layer.trainable_weights} | {"activity"}
    return [name for name, recorder in recorders.items() if not recorder.seen and name.removesuffix(SUFFIX) in names]


def _expected(trial: Trial, layer: Any, recorders: Mapping[str, Any], outputs: list[Any]) -> float:
    """Return the losses of a call if every regulariser counts once what it was asked about."""
    import keras

    bare = plain(trial)
    trial.call(bare, trial.usual, training=True)
    randomise(bare)
    trial.call(bare, trial.usual, training=True)
    total = sum(loss_values(bare))
    for recorder in recorders.values():
        count = _as_activity if recorder is layer.activity_regularizer else penalty
        total += sum(float(keras.ops.convert_to_numpy(count(array))) for array in once(recorder.seen, outputs))
    return total


def _as_activity(array: Array) -> float:
    """Return the penalty of an output as Keras counts it: some versions divide it by the batch size."""
    import keras

    identity = keras.layers.Identity(activity_regularizer=penalty)
    identity(array)
    return sum(loss_values(identity))


def _in_models(trial: Trial, layer: Any) -> Finding:
    """Compare the losses of models that call the layer once and twice with those of its own calls."""
    import keras

    usual, other = trial.usual, trial.arguments(seed=1)
    alone, state = [], snapshot(layer.non_trainable_variables)
    for seed, arguments in ((0, usual), *((seed, other) for seed in range(SEEDS))):  # each from the state then left
        Trial(trial.case, trial.seed + seed).call(layer, arguments, training=True, keep_state=True)
        alone.append(sum(loss_values(layer)))
    restore(state)
    if not all(_agree(alone[1], again) for again in alone[2:]):
        return inconclusive(
            "the losses change with random draws or other state, so those in a model cannot be foretold"
        )
    twice = _model(layer, [usual, other])
    with blaming("calling a functional model that calls it twice"):
        twice([keras.ops.convert_to_tensor(array) for array in [*usual.arrays(), *other.arrays()]], training=True)
    found, expected = sum(loss_values(twice)), alone[0] + alone[1] - weight_losses(layer)
    if not _agree(found, expected):
        return failed(
            f"a model that calls the layer twice has losses of {found:.6g}; those of both calls, with those of the "
            f"weights once, are {expected:.6g}",
            REPEATED,
        )
    model = _model(layer, [usual])
    model.compile(optimizer=keras.optimizers.SGD(0.0), run_eagerly=True)
    with blaming(f"train_on_batch() on {describe(usual)}"):
        steps = [float(model.train_on_batch(usual.arrays())) for _ in range(2)]
    if not all(_agree(step, alone[0]) for step in steps):
        return failed(
            f"two steps of train_on_batch(), with no other loss, had the losses {steps}; a call's are {alone[0]:.6g}",
            REPEATED,
        )
    return passed(losses=alone[0])


def _model(layer: Any, calls: Sequence[Arguments]) -> Any:
    """Return a functional model that calls the layer on each of these arguments."""
    import keras

    symbols, outputs = [], []
    for arguments in calls:
        given = arguments.map(lambda array: keras.Input(batch_shape=array.shape, dtype=array.dtype.name))
        symbols += given.arrays()
        with blaming("calling it in a functional model"):
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
