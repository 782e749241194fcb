"""LW702 on arrays: one that a weight keeps is not lost with the config, one that nothing keeps is."""

import keras
import numpy as np
import pytest

import layerwright as lw
from layerwright.core.finding import Outcome


class Offset(keras.layers.Layer):
    """Adds an array, which it keeps as a weight."""

    def __init__(self, offset=None, **kwargs):
        super().__init__(**kwargs)
        self.given = offset

    def build(self, input_shape):
        self.offset = self.add_weight(shape=(input_shape[-1],), initializer="zeros", trainable=False)
        if self.given is not None:
            self.offset.assign(self.given)

    def call(self, inputs):
        return inputs + self.offset

    def get_config(self):
        return super().get_config()


class Forgetful(Offset):
    """The same, kept by nothing that is saved."""

    def build(self, input_shape):
        self.offset = np.zeros(input_shape[-1:], "float32") if self.given is None else self.given


RAMP = np.arange(1.0, 6.0, dtype="float32")
WAYS = {"given": {"init": {"offset": RAMP}}, "listed": {"others": {"offset": [RAMP]}}}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("layer", "outcome"), [(Offset, Outcome.PASSED), (Forgetful, Outcome.FAILED)])
def test_an_array(layer, outcome, way):
    (finding, *_) = lw.check(lw.Case(layer, inputs=(None, 5), **WAYS[way]), select=["LW702"]).findings
    assert finding.outcome is outcome, "of LW702, or of LW703, which it needs, where the array is given"
