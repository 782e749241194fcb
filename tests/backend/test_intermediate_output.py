"""`IntermediateOutput` and `tap`: losses on inner outputs, masks, files, and every kind of model."""

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from keras import ops

from layer_tools import FEW, TOLERANCES, assert_close, gradients, lengths_mask, run, series, to_numpy
from layerwright.layers import IntermediateOutput, IntermediateOutputLayer
from layerwright.layers.intermediate_output import reference


@keras.saving.register_keras_serializable(package="tests")
def masked_peak(outputs, mask=None):
    """The largest output of the steps that count."""
    return ops.max(outputs if mask is None else ops.where(mask[..., None], outputs, -1e9))


def total_loss(layer):
    return float(sum(to_numpy(loss) for loss in layer.losses))


@FEW
@given(data=st.data())
def test_is_its_reference(data):
    policy = data.draw(st.sampled_from(sorted(TOLERANCES)), label="policy")
    weight = data.draw(st.sampled_from([1.0, 0.25, 0, -2.0]), label="weight")
    masked = data.draw(st.booleans(), label="masked")
    return_inputs = data.draw(st.booleans(), label="return_inputs")
    x = series(data.draw(st.integers(1, 5), label="rows"))
    mask = lengths_mask(len(x)) if masked else None
    inner = keras.layers.Dense(4, dtype=policy)
    layer = IntermediateOutput(inner, "square", weight, return_inputs, dtype=policy)

    outputs = run(layer, x, mask=mask)
    hidden = to_numpy(inner(x))
    assert_close(outputs, to_numpy(ops.cast(x, layer.compute_dtype)) if return_inputs else hidden, policy)
    assert_close(total_loss(layer), reference(hidden**2, mask, weight=weight), policy)


def test_the_loss_trains_the_layer_inside():
    layer = IntermediateOutput(keras.layers.Dense(3), "square")
    x = series()
    layer(x)

    def loss(tensor):
        layer(tensor)
        return sum(layer.losses)

    (gradient,) = gradients(loss, x)
    kernel = to_numpy(layer.layer.kernel.value)
    np.testing.assert_allclose(gradient, 2 * (x @ kernel) @ kernel.T / (x.size / 5 * 3), 1e-4, 1e-5)


def test_fit_counts_it_and_uses_it():
    model = keras.Sequential(
        [keras.Input((5,)), IntermediateOutput(keras.layers.Dense(4), "abs", 0.1, return_inputs=True)]
    )
    model.compile("sgd", loss=lambda _, outputs: 0.0 * ops.sum(outputs))
    x = series()[:, 0]
    before = np.abs(x @ to_numpy(model.layers[0].layer.kernel.value)).mean()
    history = model.fit(x, x, epochs=20, batch_size=3, verbose=0).history["loss"]
    assert history[0] == pytest.approx(0.1 * before, rel=1e-4)
    assert history[-1] < history[0]


@pytest.mark.parametrize("return_inputs", [False, True])
def test_masks_pass(return_inputs):
    x = np.where(lengths_mask()[..., None], series(), 0).astype("float32")
    masked = keras.layers.Masking()(x)
    inner = keras.layers.LSTM(4)
    outputs = IntermediateOutput(inner, return_inputs=return_inputs)(masked)
    mask = getattr(outputs, "_keras_mask", None)
    if return_inputs:
        np.testing.assert_array_equal(ops.convert_to_numpy(mask), lengths_mask())
    else:
        assert mask is None
        assert_close(to_numpy(outputs), to_numpy(inner(masked)))


def test_padding_stays_out_of_the_loss():
    mask = lengths_mask()
    layer = IntermediateOutput(keras.layers.Activation("linear"), "square")
    losses = []
    for padding in (0.0, 50.0, np.nan):
        run(layer, np.where(mask[..., None], series(), padding).astype("float32"), mask=mask)
        losses.append(total_loss(layer))
    np.testing.assert_allclose(losses, reference(series() ** 2, mask), 1e-5)


def test_a_loss_function_may_take_the_mask():
    mask = lengths_mask()
    layer = IntermediateOutput(keras.layers.Activation("linear"), masked_peak)
    run(layer, np.where(mask[..., None], series(), 99).astype("float32"), mask=mask)
    assert total_loss(layer) == pytest.approx(series()[mask].max(), rel=1e-5)


def test_save_load_and_go_on(tmp_path):
    x = series()[:, 0]
    model = keras.Sequential(
        [keras.Input((5,)), IntermediateOutput(keras.layers.Dense(4), masked_peak, 0.5), keras.layers.Dense(1)]
    )
    model.compile("adam", "mse")
    model.fit(x, x[:, :1], verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.layers[0].loss is masked_peak
    np.testing.assert_allclose(
        loaded.evaluate(x, x[:, :1], verbose=0), model.evaluate(x, x[:, :1], verbose=0), rtol=1e-6
    )
    loaded.fit(x, x[:, :1], verbose=0)


def test_functions_of_keras_ops_are_saved_by_name():
    config = IntermediateOutput(keras.layers.Dense(2), loss=ops.abs).get_config()
    assert config["loss"] == "abs"
    assert IntermediateOutput.from_config(config).loss is ops.abs


BAD = {
    "layer must be a Keras layer .got 3.": lambda: IntermediateOutput(3),
    "loss must be callable or the name of a function in keras.ops .got 'mse'.": lambda: IntermediateOutput(
        keras.layers.Dense(2), loss="mse"
    ),
    "weight must be a finite number .got nan.": lambda: IntermediateOutput(keras.layers.Dense(2), weight=float("nan")),
    r"the loss of masked outputs must keep the mask's axes .got shape \(\).": lambda: IntermediateOutput(
        keras.layers.Activation("linear"), "sum"
    )(series(), mask=lengths_mask()),
}


@pytest.mark.parametrize("message", BAD)
def test_bad_input_is_named(message):
    with pytest.raises(ValueError, match=message):
        BAD[message]()


def test_the_alias_is_the_same_class():
    assert IntermediateOutputLayer is IntermediateOutput
