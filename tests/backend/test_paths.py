"""Messages name sublayers and variables by the path that the user wrote, not by Keras's generated names."""

import keras
import pytest
from keras import ops

from layerwright.checks.discovery import check_by_code
from layerwright.core.finding import Outcome
from layerwright.runner.in_process import run_checks
from layerwright.trial.paths import attribute_path


class Composite(keras.layers.Layer):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.hidden = keras.layers.Dense(3)
        self.blocks = [keras.layers.Dense(3), {"norm": keras.layers.BatchNormalization()}]
        self.stack = keras.Sequential([keras.layers.Dense(3), keras.layers.Dropout(0.5, seed=1)])

    def build(self, input_shape):
        self.scale = self.add_weight(shape=(3,), name="scale_of_outputs")

    def call(self, inputs):
        hidden = self.blocks[0](self.hidden(inputs))
        return self.stack(self.blocks[1]["norm"](hidden)) * self.scale


@pytest.fixture(scope="module")
def layer():
    made = Composite()
    made(ops.ones((2, 4)))
    return made


def test_sublayers(layer):
    assert attribute_path(layer, layer) == "self"
    assert attribute_path(layer, layer.hidden) == "self.hidden"
    assert attribute_path(layer, layer.blocks[0]) == "self.blocks[0]"
    assert attribute_path(layer, layer.blocks[1]["norm"]) == "self.blocks[1]['norm']"
    assert attribute_path(layer, layer.stack.layers[1]) == "self.stack.layers[1]"


def test_variables(layer):
    assert attribute_path(layer, layer.scale) == "self.scale"
    assert attribute_path(layer, layer.hidden.kernel) == "self.hidden.kernel"
    assert attribute_path(layer, layer.stack.layers[0].bias) == "self.stack.layers[0].bias"
    seeds = layer.stack.layers[1].seed_generator
    assert attribute_path(layer, seeds.state) == "self.stack.layers[1].seed_generator.state"


def test_layers_of_a_sequential_model(layer):
    assert attribute_path(layer.stack, layer.stack.layers[0].kernel) == "self.layers[0].kernel"


def test_without_a_path_the_name_is_keras_s_own(layer):
    other = keras.layers.Dense(2, name="elsewhere")
    other.build((None, 3))
    assert attribute_path(layer, other) == "elsewhere"
    assert attribute_path(layer, other.kernel) == other.kernel.path


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("LW805", "the program ignores changes of self.scale"),
        ("LW905", "the layer calls self.dropout with training=None; expected training=True"),
        ("LW1002", "with trainable=False, a call with training=True changed self.scale; expected no change"),
        ("LW1004", "calls on the same inputs, these counts grew: self.shapes from "),
    ],
)
def test_messages_name_paths(code, message):
    check = check_by_code(code)
    (finding,) = [each for each in run_checks(check.bad(), [check]) if each.outcome is Outcome.FAILED]
    assert message in finding.message
