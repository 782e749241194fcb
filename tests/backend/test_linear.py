"""`Linear` and `CustomInitLayer`: what they add to `keras.layers.Dense` is nothing but other defaults."""

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from keras import ops

from layer_tools import FEW, TOLERANCES, assert_close, assert_gradients, moved, run, series, weights_of
from layerwright.layers import CustomInitLayer, CustomLinear, Linear
from layerwright.layers.linear import reference


@FEW
@given(data=st.data())
def test_is_its_reference(data):
    policy = data.draw(st.sampled_from(sorted(TOLERANCES)), label="policy")
    kind = data.draw(st.sampled_from([Linear, CustomInitLayer]), label="class")
    activation = data.draw(st.sampled_from([None, "tanh"]), label="activation")
    layer = kind(4, activation=activation, dtype=policy)
    layer.build((None, 6, 5))
    moved(layer)
    x = series(data.draw(st.integers(0, 4), label="batch"))
    expected = reference(x, weights_of(layer), activation=np.tanh if activation else None)
    assert_close(run(layer, x), expected, policy)


def test_keeps_the_scale_of_its_inputs():
    x = series(4, 50, 256)
    outputs = run(Linear(256, kernel_initializer=keras.initializers.GlorotUniform(seed=0)), x)
    assert 0.8 < outputs.std() < 1.2


def test_lora_is_as_in_dense():
    layer = Linear(4, lora_rank=2)
    layer.build((None, 5))
    assert len(layer.trainable_weights) == 2
    assert Linear.from_config(layer.get_config()).lora_rank == 2


def test_defaults_of_the_article():
    layer = CustomInitLayer(3)
    layer.build((None, 5))
    np.testing.assert_array_equal(weights_of(layer)[1], [1, 1, 1])
    assert isinstance(layer.kernel_initializer, keras.initializers.GlorotNormal)
    assert isinstance(CustomInitLayer.from_config(layer.get_config()), CustomInitLayer)


def test_gradient_by_finite_differences():
    layer = Linear(3, activation="tanh")
    layer.build((None, 5))
    assert_gradients(lambda x: ops.sum(layer(x) ** 2), series(1)[0])


@pytest.mark.parametrize("units", [0, 2.0, True])
def test_bad_units_are_named(units):
    with pytest.raises(ValueError, match="Linear: units must be a positive integer"):
        Linear(units)


def test_the_alias_is_the_same_class():
    assert CustomLinear is Linear
