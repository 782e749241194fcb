"""`tap` on every kind of model: the outputs are those of the layers, compiled, trained, saved; nothing stays behind."""

import doctest

import keras
import numpy as np
import pytest
from keras import ops

from layer_tools import assert_close, compiled, lengths_mask, run, series, to_numpy
from layerwright.layers import _tap, tap


def functional():
    inputs = keras.Input((5,))
    hidden = keras.layers.Dense(4, activation="relu", name="hidden")(inputs)
    return keras.Model(inputs, keras.layers.Dense(2, name="head")(hidden))


def sequential():
    return keras.Sequential([keras.Input((5,)), *functional().layers[1:]])


@keras.saving.register_keras_serializable(package="tests")
class Subclassed(keras.Model):
    """Two dense layers."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.hidden = keras.layers.Dense(4, activation="relu", name="hidden")
        self.head = keras.layers.Dense(2, name="head")

    def call(self, inputs):
        return self.head(self.hidden(inputs))


def nested():
    encoder = keras.Sequential([keras.Input((5,)), keras.layers.Dense(4, name="hidden")], name="encoder")
    return keras.Sequential([keras.Input((5,)), encoder, keras.layers.Dense(2, name="head")])


MODELS = {"functional": functional, "sequential": sequential, "subclassed": Subclassed, "nested": nested}


def rows(count=6):
    return series(count)[:, 0]


def by_hand(model, x):
    """What the hidden layer and the head return, each called on its own."""
    layers = {layer.name: layer for layer in model._flatten_layers()}
    hidden = layers["hidden"](x)
    return {"hidden": to_numpy(hidden), "head": to_numpy(layers["head"](hidden))}


@pytest.mark.parametrize("kind", MODELS)
def test_it_returns_what_the_layers_return(kind):
    model, x = MODELS[kind](), rows()
    tapped = tap(model, ["hidden", "head"])
    outputs = tapped(x)
    expected = by_hand(model, x)
    assert list(outputs) == ["hidden", "head"]
    for name in outputs:
        assert_close(to_numpy(outputs[name]), expected[name])
    assert_close(tap(model, "hidden").predict(x, verbose=0), expected["hidden"])


@pytest.mark.parametrize("kind", MODELS)
def test_each_output_is_trained_by_a_loss_of_its_own(kind):
    model, x = MODELS[kind](), rows()
    tapped = tap(model, ["hidden", "head"])
    tapped.compile("sgd", loss={"hidden": "mse", "head": "mae"}, loss_weights={"hidden": 0.5, "head": 1.0})
    model(x)
    expected = by_hand(model, x)
    targets = {"hidden": np.ones((6, 4), "float32"), "head": np.ones((6, 2), "float32")}
    history = tapped.fit(x, targets, epochs=15, batch_size=6, verbose=0).history["loss"]
    first = 0.5 * np.mean((expected["hidden"] - 1) ** 2) + np.mean(np.abs(expected["head"] - 1))
    assert history[0] == pytest.approx(first, rel=1e-4)
    assert history[-1] < history[0]
    assert_close(model.predict(x, verbose=0), by_hand(model, x)["head"])


@pytest.mark.parametrize("kind", MODELS)
def test_save_and_load(kind, tmp_path):
    tapped, x = tap(MODELS[kind](), ["hidden"]), rows()
    expected = to_numpy(tapped(x)["hidden"])
    tapped.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert_close(to_numpy(loaded(x)["hidden"]), expected)


def test_a_path_tells_layers_of_one_name_apart():
    model = keras.Sequential([keras.Input((5,)), nested(), keras.layers.Dense(4, name="hidden")])
    assert tap(model, "hidden")(rows()).shape == (6, 4)
    inner = model.layers[0].name
    assert_close(to_numpy(tap(model, f"{inner}/encoder/hidden")(rows())), by_hand(model.layers[0], rows())["hidden"])


def test_calls_of_a_shared_layer_are_counted():
    inputs = keras.Input((5,))
    shared = keras.layers.Dense(5, name="shared")
    model = keras.Model(inputs, shared(shared(inputs)))
    x = rows()
    outputs = tap(model, ["shared#0", "shared#1"])(x)
    assert_close(to_numpy(outputs["shared#0"]), to_numpy(shared(x)))
    assert_close(to_numpy(outputs["shared#1"]), to_numpy(model(x)))
    with pytest.raises(ValueError, match="'shared' was called 2 times; use one of shared#0, shared#1"):
        tap(model, "shared")
    with pytest.raises(
        ValueError, match=r"shared#2. does not exist, because .shared. was called 2 times; the numbers go from 0 to 1"
    ):
        tap(model, "shared#2")


def test_masks_travel_with_the_outputs():
    inputs = keras.Input((None, 5))
    model = keras.Model(inputs, keras.layers.Dense(2)(keras.layers.Masking(name="masking")(inputs)))
    x = np.where(lengths_mask()[..., None], series(), 0).astype("float32")
    outputs = tap(model, "masking")(x)
    np.testing.assert_array_equal(ops.convert_to_numpy(outputs._keras_mask), lengths_mask())


def test_nothing_stays_on_the_layers():
    model = functional()
    tapped = tap(model, "hidden")
    run(tapped, rows())
    assert not [layer for layer in model.layers if "call" in vars(layer)]
    with pytest.raises(Exception, match="3"):
        tapped(np.zeros((2, 3)))
    assert not [layer for layer in model.layers if "call" in vars(layer)]


def test_training_reaches_the_layers_inside():
    model = keras.Sequential([keras.Input((5,)), keras.layers.Dropout(0.5, name="dropout"), keras.layers.Dense(1)])
    tapped, x = tap(model, "dropout"), np.ones((6, 5), "float32")
    assert (to_numpy(tapped(x, training=True)) == 0).any()
    np.testing.assert_array_equal(to_numpy(tapped(x)), x)


def test_a_loop_lets_nothing_out():
    model = keras.Sequential([keras.Input((6, 5)), keras.layers.RNN(keras.layers.GRUCell(3, name="cell"), name="rnn")])
    assert tap(model, "rnn")(series()).shape == (3, 3)
    if keras.backend.backend() == "torch":  # whose loops are Python's
        assert tap(model, "cell#5")
        return
    with pytest.raises(
        ValueError,
        match="'rnn/cell' runs inside a compiled loop, and its outputs cannot leave the loop; tap the layer that",
    ):
        compiled(tap(model, "cell"))(ops.convert_to_tensor(series()))


def test_names_that_fit_nothing_are_named():
    with pytest.raises(ValueError, match=r"the model has no layer 'hiden'; its layers are .*hidden, head\.$"):
        tap(functional(), "hiden")
    with pytest.raises(ValueError, match="The model is not built; call it once first"):
        tap(keras.Sequential(), "dense")
    two = keras.Sequential([keras.Input((5,)), _encoder("left"), _encoder("right")])
    with pytest.raises(ValueError, match="2 layers are named 'hidden'; use one of the paths left/hidden, right/hidden"):
        tap(two, "hidden")


def _encoder(name):
    return keras.Sequential([keras.Input((5,)), keras.layers.Dense(5, name="hidden")], name=name)


def test_the_example_in_the_docstring_runs():
    result = doctest.testmod(_tap)
    assert result.attempted
    assert not result.failed
