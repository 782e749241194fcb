"""LW903."""

import pickle
import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

import numpy as np

from layerwright.core.case import Case, Traits
from layerwright.core.check import check
from layerwright.core.errors import LayerError
from layerwright.core.finding import Finding, failed, passed
from layerwright.trial.arguments import describe
from layerwright.trial.reachable import reachable
from layerwright.trial.trial import Trial, blaming, restore, snapshot

NUMPY = "NumPy's global generator (np.random)"
FIX = (
    "Keep self.seed_generator = keras.random.SeedGenerator(seed) in the constructor and draw with "
    "keras.random.…(…, seed=self.seed_generator)."
)


@check("LW903", "no-foreign-randomness", requires=("LW102",))
def no_foreign_randomness(trial: Trial) -> Finding:
    """The layer draws no random number but from generators of its own.

    What it proves:
        Constructing, building and calling the layer leave NumPy's global generator as it was; calling it leaves
        Python's, the framework's and Keras's global generators too.

    Why it matters:
        What NumPy or Python draws while a layer is traced is a constant of the program: one dropout mask for the whole
        training. A global generator is shared with the input pipeline and with every other layer, so adding a layer
        changes what others draw; its state is in no variable, so a compiled step cannot carry it on.

    How it is tested:
        The full state of each generator, NumPy's cached Gaussian included, is compared before and after constructing
        the layer, and before and after calls in inference and in training. Keras seeds a generator or an initializer
        that was given no seed from Python's generator, so that one may move before the call. On torch Keras's dropout
        draws from the global generator where it was given no seed; seeds are given for the comparison.

    Exempt when:
        Never.

    References:
        keras.io/guides, "Randomness": random seed generators in layers; keras.io, `SeedGenerator`; numpy.org,
        `random.get_state`; docs.jax.dev, "Pseudorandom numbers".
    """
    import keras

    keras.utils.set_random_seed(trial.seed)
    seeded = _numpy_state()
    layer = trial.construct()
    if _numpy_state() != seeded:
        return failed(f"the constructor drew from {NUMPY}; expected no draw", FIX)
    trial.call(layer, trial.usual)
    if _numpy_state() != seeded:
        return failed(f"building and calling the layer drew from {NUMPY}; expected no draw", FIX)
    for training in (False, True):
        drawn = []
        with suppress(LayerError):  # that it works in training is for other checks to prove
            drawn = _drawn_in_call(trial, layer, training)
        if drawn:
            return failed(f"a call with training={training} drew from {' and '.join(drawn)}; expected no draw", FIX)
    return passed()


def _drawn_in_call(trial: Trial, layer: Any, training: bool) -> list[str]:
    """Return the names of the global generators that a call moves."""
    import keras

    keras.utils.set_random_seed(trial.seed)
    call = trial.function(layer, trial.usual, training=training)
    tensors = [keras.ops.convert_to_tensor(array) for array in trial.usual.arrays()]
    variables, before = snapshot(layer.variables), _states(trial)
    with blaming(f"calling it on {describe(trial.usual)}"), trial.backend.inference(), _seeded(layer):
        call(*tensors)
    after = _states(trial)
    restore(variables)
    return [name for name, state in before.items() if state != after[name]]


def _numpy_state() -> bytes:
    return pickle.dumps(np.random.get_state())  # the cached Gaussian included


def _states(trial: Trial) -> Mapping[str, Any]:
    import keras
    from keras.src.random.seed_generator import global_seed_generator  # its state has no public name

    keras_state = keras.ops.convert_to_numpy(global_seed_generator().state.value).tolist()
    return {
        "Keras's global generator (keras.random without a seed)": keras_state,
        NUMPY: _numpy_state(),
        "Python's global generator (random)": random.getstate(),
        f"{trial.backend.NAME}'s global generator": trial.backend.random_state(),
    }


@contextmanager
def _seeded(layer: Any) -> Iterator[None]:
    """Let the layer's generators that were given no seed say that they have one: Keras's torch dropout asks that."""
    import keras

    found = [value for _, value in reachable(layer, lambda value: isinstance(value, keras.random.SeedGenerator))]
    unseeded = [generator for generator in found if generator._initial_seed is None]
    for generator in unseeded:
        generator._initial_seed = 0
    try:
        yield
    finally:
        for generator in unseeded:
            generator._initial_seed = None


def bad() -> Case:
    import keras
    import numpy as np

    class Noise(keras.layers.Layer):
        def call(self, inputs, training=False):
            return inputs + np.random.normal() if training else inputs

    return Case(Noise, inputs=(None, 5))


def good() -> Case:
    import keras

    class Noise(keras.layers.Layer):
        def __init__(self, seed=None, **kwargs):
            super().__init__(**kwargs)
            self.seed = seed
            self.seed_generator = keras.random.SeedGenerator(seed)

        def call(self, inputs, training=False):
            if not training:
                return inputs
            return inputs + keras.random.normal(keras.ops.shape(inputs), seed=self.seed_generator)

    return Case(Noise, inputs=(None, 5), traits=Traits(random=True))
