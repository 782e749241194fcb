"""A trial draws, constructs and calls the same way every time, and leaves a layer's state alone."""

import keras
import numpy as np
import pytest
from keras import layers

from layerwright.core.case import Case, InputSpec
from layerwright.core.errors import LayerError
from layerwright.trial.compare import bitwise_equal, largest_difference
from layerwright.trial.trial import Trial, copy_weights, randomise


def trial_of(layer, inputs, **rest):
    return Trial(Case(layer, inputs=inputs, **rest))


def test_two_constructions_have_equal_weights():
    trial = trial_of(layers.Dense, (None, 5), init={"units": 3})
    first, second = trial.built(), trial.built()
    assert bitwise_equal([first.get_weights()], [second.get_weights()])


def test_arguments_follow_from_the_seed():
    case = Case(layers.Dense, inputs=(None, 5))
    assert bitwise_equal(Trial(case).arguments().inputs, Trial(case).arguments().inputs)
    assert not bitwise_equal(Trial(case).arguments().inputs, Trial(case, seed=1).arguments().inputs)
    assert not bitwise_equal(Trial(case).arguments().inputs, Trial(case).arguments(seed=1).inputs)


def test_usual_batch_differs_from_every_other_size():
    assert trial_of(layers.Identity, (None, 4, 3)).batch == 7
    assert trial_of(layers.Identity, (None, 10, 5)).batch == 4


def test_calls_leave_state_alone():
    trial = trial_of(layers.BatchNormalization, (None, 5))
    layer = trial.built()
    before = [np.array(weight) for weight in layer.get_weights()]
    trial.call(layer, trial.usual, training=True)
    assert bitwise_equal(before, layer.get_weights())
    trial.call(layer, trial.usual, training=True, keep_state=True)
    assert not bitwise_equal(before, layer.get_weights())


def test_random_layers_repeat_their_draw():
    trial = trial_of(layers.Dropout, (None, 50), init={"rate": 0.5})
    layer = trial.built()
    first = trial.call(layer, trial.usual, training=True)
    assert bitwise_equal(first, trial.call(layer, trial.usual, training=True))
    assert not bitwise_equal(first, trial.call(layer, trial.usual, training=False))


def test_what_the_layer_raises_is_blamed_on_it():
    trial = trial_of(layers.Dense, (None, 5), init={"units": 3})
    layer = trial.built()
    with pytest.raises(LayerError, match=r"calling the layer on \(2, 4\) raised ValueError"):
        trial.call(layer, trial.arguments_of(lambda spec: (2, 4)))
    with pytest.raises(LayerError, match="constructing the layer raised TypeError"):
        trial_of(layers.Dense, (None, 5)).construct()


def test_named_arguments():
    trial = trial_of(layers.Identity, [(None, 2), (None, 3)], call={"mask": InputSpec((None, 2), "bool"), "flag": True})
    names = [name for name, _ in trial.usual.named_arrays()]
    assert names == ["inputs[0]", "inputs[1]", "mask"]
    assert trial.usual.call["flag"] is True
    assert trial.usual.rows(slice(0, 2)).batch == 2


def test_copy_weights_and_randomise():
    trial = trial_of(layers.Dense, (None, 5), init={"units": 3})
    first, second = trial.built(), trial.built()
    randomise(first)
    assert not bitwise_equal(first.get_weights(), second.get_weights())
    copy_weights(first, second)
    assert bitwise_equal(first.get_weights(), second.get_weights())


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ([1.0, 2.0], [1.0, 2.0], 0.0),
        ([100.0], [101.0], 0.01),
        ([0.1], [0.2], 0.1),
        ([np.nan], [np.nan], 0.0),
        ([np.nan], [1.0], np.inf),
        ([1.0], [np.nan], np.inf),
        ([np.inf], [np.inf], 0.0),
        ([1.0, 2.0], [1.0], np.inf),
    ],
)
def test_largest_difference(first, second, expected):
    assert largest_difference(np.array(first), np.array(second)) == pytest.approx(expected)


def test_symbolic_call_leaves_the_batch_open():
    trial = trial_of(layers.Dense, (None, 5), init={"units": 3})
    assert trial.symbolic_call(trial.construct()).shape == (None, 3)
    assert isinstance(trial.symbolic_call(trial.construct(), batch=2), keras.KerasTensor)
