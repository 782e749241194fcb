"""`lw.influence`: maps of layers and models, of arrays and of shapes, and one clear line for what cannot be."""

import builtins
import doctest

import keras
import numpy as np
import pytest
from keras import ops

import layerwright as lw
from layerwright.core.errors import LayerError, UsageError
from layerwright.trial import influence as influence_map


class Mixer(keras.layers.Layer):
    def call(self, inputs):
        return inputs - 1e-4 * ops.mean(inputs, axis=0, keepdims=True)


class Masked(keras.layers.Layer):
    def call(self, inputs, mask=None):
        weights = ops.cast(mask, "float32")[..., None]
        return ops.sum(inputs * weights, axis=1) / ops.sum(weights, axis=1)


class Restless(keras.layers.Layer):
    def call(self, inputs):
        return inputs + next(self.drawn)


def test_a_leak_between_samples_shows_however_small():
    found = lw.influence(Mixer(name="mixer"), (None, 5))
    assert found.matrix.shape == (4, 4)
    assert (found.matrix > 0).all()
    assert found.coupled
    assert found.matrix[0, 1] < 1e-3 < found.matrix[0, 0]
    assert repr(found) == "InfluenceMap('mixer', axis=0, shape=(4, 4), coupled=True, causal=False)"
    assert (
        str(found).splitlines()[0]
        == "mixer, axis 0: row = output, column = input replaced; darker is more, blank is nothing"
    )
    assert "░░" in str(found).splitlines()[1]


def test_a_sound_layer_has_a_diagonal_map():
    found = lw.influence(keras.layers.Dense(3), (None, 7, 5), seed=3)
    assert np.array_equal(found.matrix > 0, np.eye(4, dtype=bool))
    assert not found.coupled


@pytest.mark.parametrize(("padding", "causal"), [("causal", True), ("same", False)])
def test_a_convolution_along_time(padding, causal):
    found = lw.influence(keras.layers.Conv1D(4, kernel_size=3, padding=padding), (None, 10, 5), axis=1)
    assert found.matrix.shape == (10, 10)
    assert found.causal is causal
    offsets = {i - j for i, j in np.argwhere(found.matrix > 0).tolist()}
    assert offsets == ({0, 1, 2} if causal else {-1, 0, 1})


def test_a_strided_layer_has_fewer_rows_and_a_long_axis_is_sampled():
    found = lw.influence(keras.layers.MaxPooling1D(2), np.random.default_rng(0).normal(size=(2, 40, 3)), axis=-2)
    assert found.matrix.shape == (20, 40)
    assert np.isnan(found.matrix).all(axis=0).sum() == 40 - 16
    assert "rows 0, 1, 2" in str(found)
    assert not np.isnan(lw.influence(keras.layers.MaxPooling1D(2), (1, 40, 3), axis=1, most=40).matrix).any()


def test_what_is_built_keeps_its_weights_and_its_state():
    model = keras.Sequential([keras.Input((6,)), keras.layers.Dense(4), keras.layers.BatchNormalization()])
    before = [ops.convert_to_numpy(weight) for weight in model.weights]
    data = np.random.default_rng(1).normal(size=(5, 6)).astype("float32")
    assert not lw.influence(model, data).coupled
    assert lw.influence(model, data, training=True).coupled
    for weight, value in zip(model.weights, before, strict=True):
        assert np.array_equal(ops.convert_to_numpy(weight), value)


def test_trees_tensors_integers_and_masks():
    pair = [ops.ones((3, 4)), np.zeros((3, 4), "float32")]
    assert not lw.influence(keras.layers.Add(), pair).coupled
    named = {"b": lw.InputSpec((None, 4)), "a": (None, 4)}
    model = keras.Model(inputs := {name: keras.Input((4,), name=name) for name in "ab"}, sum(inputs.values()))
    assert lw.influence(model, named).matrix.shape == (4, 4)
    ids = np.array([[1, 2, 3], [3, 1, 2]])
    assert not lw.influence(keras.layers.Embedding(10, 4), ids).coupled
    mask = {"mask": lw.InputSpec((None, 6), "bool")}
    assert lw.influence(Masked(), (None, 6, 5), call=mask).matrix.diagonal().all()
    held = {"mask": np.array([[True] * 3, [True, False, False]])}
    assert not lw.influence(Masked(), (None, 3, 5), call=held).coupled


def test_what_becomes_nan_is_infinite():
    layer = keras.layers.Lambda(lambda inputs: ops.sqrt(inputs))
    found = lw.influence(layer, np.full((3, 4), 0.5, "float32"), seed=1)
    assert np.isinf(found.matrix.diagonal()).any()
    assert "██" in str(found)


@pytest.mark.parametrize(
    ("layer", "inputs", "options", "message"),
    [
        (keras.layers.Dense, (None, 5), {}, r"takes a layer or a model \(got .*Dense.*\); pass an instance, such as"),
        (keras.layers.Dense(2), "text", {}, r"inputs must be an array, a shape such as .* \(got 'text'\)\."),
        (keras.layers.Dense(2), [], {}, r"inputs must be an array"),
        (keras.layers.Dense(2), (None, 5), {"axis": 2}, r"of shape \(4, 5\) have no axis 2; use an axis from 0 to 1\."),
        (keras.layers.Flatten(), np.zeros((2, 3), int), {}, r"contain no two different values; pass at least two"),
        (
            keras.layers.Add(),
            [np.ones((2, 3)), np.ones((1, 3))],
            {},
            r"must have the same number of samples \(got \(2, 3\), \(1, 3\)\)",
        ),
        (
            keras.layers.GlobalMaxPooling1D(keepdims=False, name="pool"),
            (None, 6, 5),
            {"axis": 2},
            r"no output of pool has an axis 2 \(output shapes: \(4, 5\)\); use another axis\.",
        ),
    ],
)
def test_what_cannot_be_is_one_clear_line(layer, inputs, options, message):
    with pytest.raises(UsageError, match=message):
        lw.influence(layer, inputs, **options)


def test_what_the_layer_raises_and_what_does_not_repeat():
    with pytest.raises(LayerError, match=r"calling the layer on \(4, 5\) raised"):
        lw.influence(keras.layers.Conv1D(2, 3), (None, 5))
    restless = Restless(name="restless")
    restless.drawn = iter(range(1000))
    with pytest.raises(UsageError, match=r"restless: two calls with the same inputs.*SeedGenerator"):
        lw.influence(restless, (None, 5))


def test_plots(monkeypatch):
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("agg")
    found = lw.influence(Mixer(name="mixer"), (None, 5))
    axes = found.plot()
    assert axes.get_xlabel() == "input sample replaced"
    assert axes.get_title() == "influence map of mixer"
    assert type(axes.images[0].norm).__name__ == "LogNorm"
    assert found.plot(axes) is axes
    matplotlib.pyplot.close("all")
    real = builtins.__import__

    def without(name, *arguments, **named):
        if name.startswith("matplotlib"):
            raise ModuleNotFoundError(name)
        return real(name, *arguments, **named)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(UsageError, match=r"pip install 'layerwright\[report\]'"):
        found.plot()


def test_the_example_runs():
    found = doctest.testmod(influence_map)
    assert found.attempted
    assert not found.failed
