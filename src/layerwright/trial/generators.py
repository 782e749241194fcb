"""Find the random generators that a layer holds."""

import random
from typing import Any

import numpy as np

from layerwright.trial.reachable import reachable


def holds_generator(layer: Any, *, of_keras: bool = True) -> bool:
    """Whether a layer holds a random generator of NumPy, Python or the framework, or one of Keras if `of_keras`."""
    import keras

    def is_generator(value: Any) -> bool:
        names = {f"{kind.__module__.partition('.')[0]}.{kind.__name__}" for kind in type(value).__mro__}
        foreign = isinstance(value, (np.random.Generator, np.random.RandomState, random.Random))
        of_framework = bool(names & {"torch.Generator", "tensorflow.Generator"})
        return foreign or of_framework or (of_keras and isinstance(value, keras.random.SeedGenerator))

    return bool(reachable(layer, is_generator))
