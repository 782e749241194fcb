"""LW904."""

import inspect
from typing import Any

import numpy as np

from layerwright.checks.purity._loops import many_calls
from layerwright.core.case import Case, Traits
from layerwright.core.check import check
from layerwright.core.finding import Finding, failed, passed
from layerwright.trial.arguments import Arguments, Array, describe
from layerwright.trial.compare import bitwise_equal, leaves
from layerwright.trial.trial import Trial, blaming, restore, snapshot

DRAWS = 8
"""How often a layer draws: a layer that flips each sample or not gives equal draws half the time."""

FIX = (
    "Keep self.seed_generator = keras.random.SeedGenerator(seed) in the constructor, take `seed` as an argument of it, "
    "and draw with keras.random.…(…, seed=self.seed_generator): an integer seed gives the same draw at every call."
)
SHAPE_FIX = "Draw with the batch axis in the shape: keras.random.uniform(ops.shape(inputs), seed=self.seed_generator)."


@check("LW904", "seeds-work", requires=("LW903", "LW305"), needs={"random": True})
def seeds_work(trial: Trial) -> Finding:
    """The same seed gives the same draws; one draw differs from the next, and one sample's from another's.

    What it proves:
        Consecutive calls draw anew. From the same seeds, state restored or layer rebuilt, the same draws come again.
        With a constructor argument `seed`, that alone decides. Equal samples in one batch are drawn for one by one.

    Why it matters:
        A mask that is drawn once and kept drops the same features for the whole training; one mask for all samples
        adds noise to each gradient that the batch should average out. Neither shows in a loss curve. A seed that does
        not decide makes a run that cannot be repeated.

    How it is tested:
        A layer is called up to eight times in a row on the same inputs, in training and if nothing is drawn there in
        inference; not all outputs may be equal. The draws are repeated from the restored state, and by two layers
        constructed with one seed under different global seeds, and must be the same. Last, a batch that holds one
        sample several times must give rows that are not all equal, unless the layer couples samples.

    Exempt when:
        The layer does not declare `random=True`.

    References:
        keras.io, `SeedGenerator`; keras.io, "Making new layers and models via subclassing"; Srivastava et al. 2014,
        "Dropout", where each training case has a mask of its own.
    """
    with many_calls(trial):
        return _seeds(trial)


def _seeds(trial: Trial) -> Finding:
    layer = trial.built()
    training = next((mode for mode in (True, False) if _varies(trial, layer, mode)), None)
    if training is None:
        return failed(f"{DRAWS} consecutive calls gave the same outputs; expected the layer to draw anew", FIX)
    twice = [_draws(trial, layer, trial.usual, training, 2) for _ in range(2)]
    if not bitwise_equal(*twice):
        return failed("from the same seeds and state, a second run of calls drew otherwise; expected the same", FIX)
    if "seed" in inspect.signature(trial.case.layer).parameters and not _seed_decides(trial, training):
        return failed("two layers constructed with seed=11 drew otherwise under other global seeds", FIX)
    if trial.case.traits.batch != "independent":
        return passed("that draws differ between samples does not apply: the layer couples them")
    if _alike(trial, layer, training, 1) and _alike(trial, layer, training, DRAWS):
        return failed(
            f"in {DRAWS} calls equal samples of one batch were drawn for alike; expected draws of their own", SHAPE_FIX
        )
    return passed()


def _varies(trial: Trial, layer: Any, training: bool) -> bool:
    """Whether consecutive calls differ: two, or if those are equal, many."""
    for times in (2, DRAWS):
        first, *others = _draws(trial, layer, trial.usual, training, times)
        if not all(bitwise_equal(first, other) for other in others):
            return True
    return False


def _alike(trial: Trial, layer: Any, training: bool, times: int) -> bool:
    """Whether all rows of every output are equal when all samples are."""
    alike = trial.usual.map(lambda array: np.repeat(array[:1], len(array), axis=0))
    rows = [leaf for draw in _draws(trial, layer, alike, training, times) for leaf in draw]
    return all(np.array_equal(leaf, np.repeat(leaf[:1], len(leaf), axis=0), equal_nan=True) for leaf in rows)


def _draws(trial: Trial, layer: Any, arguments: Arguments, training: bool, times: int) -> list[list[Array]]:
    """Call the layer several times in a row from the seeds it now has; put its variables back afterwards."""
    import keras

    keras.utils.set_random_seed(trial.seed)
    before = snapshot(layer.variables)
    tensors = arguments.map(lambda array: keras.ops.convert_to_tensor(array.copy()))
    with blaming(f"calling it on {describe(arguments)}, training={training},"), trial.backend.inference():
        outputs = [layer(tensors.inputs, training=training, **tensors.call) for _ in range(times)]
    restore(before)
    return [[np.asarray(keras.ops.convert_to_numpy(leaf)) for leaf in leaves(output)] for output in outputs]


def _seed_decides(trial: Trial, training: bool) -> bool:
    first, second = (Trial(trial.case, trial.seed + shift) for shift in (0, 1))
    layers = [one.construct(seed=11) for one in (first, second)]
    for one in layers:
        trial.call(one, trial.usual)
    for here, there in zip(*(one.weights for one in layers), strict=True):
        there.assign(here.value)
    return bitwise_equal(*(_draws(trial, one, trial.usual, training, 2) for one in layers))


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
            return inputs + keras.random.normal((1, *shape[1:]) if shared else shape, seed=self.seed_generator)

    return Case(Noisy, inputs=(None, 5), traits=Traits(random=True))
