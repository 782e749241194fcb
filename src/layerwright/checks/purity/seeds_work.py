"""LW904 seeds-work."""

import inspect
from typing import Any

import numpy as np

from layerwright.checks.purity._loops import uncompiled_loops
from layerwright.core.case import Case, Traits
from layerwright.core.check import check
from layerwright.core.finding import Finding, failed, passed
from layerwright.trial.arguments import Arguments, Array, describe
from layerwright.trial.compare import bitwise_equal, leaves
from layerwright.trial.trial import Trial, blaming, restore, snapshot

DRAWS = 8
"""How often a layer is called: two calls may be equal by chance, such as those of a layer that flips images."""

FIX = (
    "Accept `seed` in the constructor, set `self.seed_generator = keras.random.SeedGenerator(seed)`, and draw with "
    "`keras.random.normal(…, seed=self.seed_generator)`. Do not pass an integer as `seed`: it gives the same numbers "
    "at every call."
)
SHAPE_FIX = (
    "Include the batch axis in the shape of the draw: "
    "`keras.random.uniform(ops.shape(inputs), seed=self.seed_generator)`."
)


@check("LW904", "seeds-work", requires=("LW903", "LW305", "LW209"), needs={"random": True})
def seeds_work(trial: Trial) -> Finding:
    """The same seed gives the same random values, and different calls and samples get different values.

    What it proves:
        Consecutive calls give different random values. The same seeds and state give the same values again. If the
        constructor has an argument `seed`, it alone determines the values. Identical samples of a batch get different
        values.

    Why it matters:
        If a dropout mask is drawn once and kept, the same features are dropped for the whole training. If all samples
        share one mask, its noise does not average out over the batch. A loss curve shows neither. If the seed does not
        determine the values, a run cannot be reproduced.

    How it is tested:
        The check calls a layer up to eight times in a row on the same inputs, in training and, if nothing random
        happens there, in inference. Not all outputs may be equal. It repeats the calls from the restored state; the
        outputs must be the same. So must those of two layers constructed with the same `seed` under different global
        seeds. Finally, a batch that contains one sample several times must not give equal rows, unless the layer
        couples samples.

    Exempt when:
        The layer does not declare `random=True`.

    References:
        keras.io, `SeedGenerator`; keras.io, "Making new layers and models via subclassing"; Srivastava et al. 2014,
        "Dropout", where each training case has its own mask.
    """
    with uncompiled_loops(trial):
        return _check_seeds(trial)


def _check_seeds(trial: Trial) -> Finding:
    layer = trial.built()
    training = next((mode for mode in (True, False) if _calls_differ(trial, layer, mode)), None)
    if training is None:
        return failed(f"{DRAWS} consecutive calls gave the same outputs; expected different random values", FIX)
    twice = [_outputs_of_calls(trial, layer, trial.usual, training, 2) for _ in range(2)]
    if not bitwise_equal(*twice):
        return failed("the same seeds and state gave different random values; expected the same values", FIX)
    if "seed" in inspect.signature(trial.case.layer).parameters and not _seed_determines_outputs(trial, training):
        return failed(
            "two layers constructed with seed=11 under different global seeds gave different random values; expected "
            "the same values",
            FIX,
        )
    if trial.case.traits.batch != "independent":
        return passed("the layer couples samples, so their random values were not compared")
    if _samples_get_equal_values(trial, layer, training, 1) and _samples_get_equal_values(
        trial, layer, training, DRAWS
    ):
        return failed(
            f"in {DRAWS} calls, identical samples received identical random values; expected different values for each "
            "sample",
            SHAPE_FIX,
        )
    return passed()


def _calls_differ(trial: Trial, layer: Any, training: bool) -> bool:
    """Whether the outputs of consecutive calls differ: of two calls or, if these are equal, of many."""
    for times in (2, DRAWS):
        first, *others = _outputs_of_calls(trial, layer, trial.usual, training, times)
        if not all(bitwise_equal(first, other) for other in others):
            return True
    return False


def _samples_get_equal_values(trial: Trial, layer: Any, training: bool, times: int) -> bool:
    """Whether all rows of every output are equal when all samples are equal."""
    identical = trial.usual.map(lambda array: np.repeat(array[:1], len(array), axis=0))
    rows = [leaf for outputs in _outputs_of_calls(trial, layer, identical, training, times) for leaf in outputs]
    return all(np.array_equal(leaf, np.repeat(leaf[:1], len(leaf), axis=0), equal_nan=True) for leaf in rows)


def _outputs_of_calls(trial: Trial, layer: Any, arguments: Arguments, training: bool, times: int) -> list[list[Array]]:
    """Call the layer several times in a row from its present seeds, and restore its variables afterwards."""
    import keras

    keras.utils.set_random_seed(trial.seed)
    before = snapshot(layer.variables)
    tensors = arguments.map(lambda array: keras.ops.convert_to_tensor(array.copy()))
    with blaming(f"calling the layer on {describe(arguments)} with training={training}"), trial.backend.inference():
        outputs = [layer(tensors.inputs, training=training, **tensors.call) for _ in range(times)]
    restore(before)
    return [[np.asarray(keras.ops.convert_to_numpy(leaf)) for leaf in leaves(output)] for output in outputs]


def _seed_determines_outputs(trial: Trial, training: bool) -> bool:
    """Whether two layers constructed with the same `seed` under different global seeds give the same outputs."""
    first, second = (Trial(trial.case, trial.seed + shift) for shift in (0, 1))
    layers = [one.construct(seed=11) for one in (first, second)]
    for one in layers:
        trial.call(one, trial.usual)
    for here, there in zip(*(one.weights for one in layers), strict=True):
        there.assign(here.value)
    return bitwise_equal(*(_outputs_of_calls(trial, one, trial.usual, training, 2) for one in layers))


def bad() -> Case:
    return _noisy(shared=True)


def good() -> Case:
    return _noisy(shared=False)


def _noisy(*, shared: bool) -> Case:
    import keras

    class Noisy(keras.layers.Layer):
        def __init__(self, seed=None, **kwargs):
            super().__init__(**kwargs)
            self.seed = seed
            self.seed_generator = keras.random.SeedGenerator(seed)

        def call(self, inputs, training=False):
            if not training:
                return inputs
            shape = keras.ops.shape(inputs)
            shape = (1, *shape[1:]) if shared else shape
            return inputs + keras.random.normal(shape, dtype=inputs.dtype, seed=self.seed_generator)

    return Case(Noisy, inputs=(None, 5), traits=Traits(random=True))
