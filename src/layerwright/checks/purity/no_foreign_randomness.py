"""LW903 no-foreign-randomness."""

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
OWN_GENERATORS = "the layer's own generators"
FIX = (
    "In the constructor, set `self.seed_generator = keras.random.SeedGenerator(seed)`. In `call()`, draw with "
    "`keras.random.normal(…, seed=self.seed_generator)`."
)


@check("LW903", "no-foreign-randomness", requires=("LW102",), needs_tensors=True)
def no_foreign_randomness(trial: Trial) -> Finding:
    """The layer draws random numbers only from its own generators.

    What it proves:
        Constructing, building and calling the layer do not change NumPy's global generator. Calling it does not change
        the global generators of Python, the framework and Keras either.

    Why it matters:
        A number that NumPy or Python draws during tracing becomes a constant of the program: dropout then uses one mask
        for the whole training. The input pipeline and all other layers share the global generators, so adding a layer
        changes the numbers that they draw. The state of a global generator is not in a variable, so a compiled step
        cannot update it.

    How it is tested:
        The check compares the full state of each generator, including NumPy's cached Gaussian, before and after
        constructing the layer, and before and after calls in inference and in training. Keras takes missing seeds for
        generators and initializers from Python's generator, so Python's generator may change before the call. On torch,
        Keras's dropout without a seed draws from the global generator; the check gives it a seed for the comparison.

    Exempt when:
        Never.

    References:
        keras.io/guides, "Randomness", on seed generators in layers; keras.io, `SeedGenerator`; numpy.org,
        `random.get_state`; docs.jax.dev, "Pseudorandom numbers".
    """
    import keras

    keras.utils.set_random_seed(trial.seed)
    seeded = _numpy_state()
    layer = trial.construct()
    if _numpy_state() != seeded:
        return failed(f"the constructor drew random numbers from {NUMPY}; expected only {OWN_GENERATORS}", FIX)
    trial.call(layer, trial.usual)
    if _numpy_state() != seeded:
        return failed(
            f"building and calling the layer drew random numbers from {NUMPY}; expected only {OWN_GENERATORS}", FIX
        )
    for training in (False, True):
        drawn = []
        # Other checks report a layer that raises in training.
        with suppress(LayerError):
            drawn = _generators_used_by_call(trial, layer, training)
        if drawn:
            return failed(
                f"a call with training={training} drew random numbers from {' and '.join(drawn)}; expected only "
                f"{OWN_GENERATORS}",
                FIX,
            )
    return passed()


def _generators_used_by_call(trial: Trial, layer: Any, training: bool) -> list[str]:
    """Return the names of the global generators whose state a call changes."""
    import keras

    keras.utils.set_random_seed(trial.seed)
    call = trial.function(layer, trial.usual, training=training)
    tensors = [keras.ops.convert_to_tensor(array) for array in trial.usual.arrays()]
    variables, before = snapshot(layer.variables), _generator_states(trial)
    with blaming(f"calling the layer on {describe(trial.usual)}"), trial.backend.inference(), _claiming_seeds(layer):
        call(*tensors)
    after = _generator_states(trial)
    restore(variables)
    return [name for name, state in before.items() if state != after[name]]


def _numpy_state() -> bytes:
    # Pickled, because that includes the cached Gaussian.
    return pickle.dumps(np.random.get_state())


def _generator_states(trial: Trial) -> Mapping[str, Any]:
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
def _claiming_seeds(layer: Any) -> Iterator[None]:
    """Let the layer's seed generators without a seed claim to have one, because Keras's dropout on torch asks them."""
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
            return inputs + keras.random.normal(keras.ops.shape(inputs), dtype=inputs.dtype, seed=self.seed_generator)

    return Case(Noise, inputs=(None, 5), traits=Traits(random=True))
