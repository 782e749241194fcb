"""Cases that test_doors_agree.py checks through every door."""

import keras
from keras import ops

import layerwright as lw
from layerwright.checks.discovery import all_checks
from sound_layers import CASES as SOUND

BROKEN = ("LW101", "LW102", "LW104", "LW301", "LW302", "LW303", "LW306", "LW401", "LW404", "LW501", "LW701", "LW703")


class TwoFlags(keras.layers.Layer):
    """Refuses two flags together.

    Args:
        centre: Whether to centre.
        scale: Whether to scale.
    """

    def __init__(self, centre=True, scale=True, **kwargs):
        super().__init__(**kwargs)
        if not centre and not scale:
            raise ValueError("centre and scale cannot both be off")
        self.centre, self.scale = centre, scale

    def call(self, inputs):
        centred = inputs - ops.mean(inputs, axis=-1, keepdims=True) if self.centre else inputs
        return centred * 2.0 if self.scale else centred


class OverTheBatch(keras.layers.Layer):
    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.units = units

    def call(self, inputs):
        return ops.repeat(inputs - ops.mean(inputs, axis=0), self.units, axis=-1)


class Never(keras.layers.Layer):
    def call(self, inputs):
        raise RuntimeError("not today")


class NeedsAHashedSize(keras.layers.Layer):
    def call(self, inputs):
        if sum(inputs.shape[1:]) ** 2 % 1009 != 3:
            raise ValueError("needs another number of entries")
        return inputs


class NeverMade(keras.layers.Layer):
    def __init__(self):
        raise RuntimeError("not today")


def cases():
    """Forty cases and some: sound, broken, expected to fail, inferred, undetermined, with variants, unsupported."""
    broken = [check.bad() for check in all_checks() if check.code in BROKEN]
    others = [
        lw.Case(OverTheBatch, {"units": 2}, (None, 5), expect={"LW301": "by design", "batch-permutation": "by design"}),
        lw.Case(OverTheBatch, {"units": 2}, (None, 5), expect={"LW304": "by design"}),
        lw.Case(OverTheBatch),
        lw.Case(OverTheBatch, {"units": 3}),
        lw.Case(Never),
        lw.Case(NeverMade),
        lw.Case(NeedsAHashedSize),
        lw.Case(Never, inputs=(None, 5), unsupported={"torch": "it never works"}),
        lw.Case(TwoFlags, variants={"centre": [False], "scale": [False]}),
        lw.Case(keras.layers.Dense),
        lw.Case(keras.layers.Embedding),
        lw.Case(keras.layers.BatchNormalization, inputs=(None, 5), traits={"batch": "coupled-in-training"}),
    ]
    sound = SOUND[: 41 - len(broken) - len(others)]
    return [*sound, *broken, *others]


def swept():
    """Cases for a sweep: their layers refuse some combinations of arguments."""
    return [
        lw.Case(TwoFlags, inputs=(None, 5)),
        lw.Case(OverTheBatch),
        lw.Case(OverTheBatch, {"units": 2}, (None, 5), expect={"LW301": "by design"}),
        lw.Case(keras.layers.AveragePooling1D, inputs=(None, 10, 5)),
    ]
