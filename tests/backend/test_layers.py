"""What holds of every layer: configs, files, clear errors; and the layers in one network."""

import keras
import numpy as np
import pytest
from keras import ops

from layer_tools import built, compiled, convolved, gradients, lengths_mask, run, series
from layerwright.layers import CausalConv1D, MaskedAverage, ThreePointDependency
from layerwright.layers import masked_average as average_module


def network():
    inputs, mask = keras.Input((None, 5)), keras.Input((None,), dtype="bool")
    hidden = CausalConv1D(4, kernel_regularizer="l2")(inputs, mask=mask)
    hidden = CausalConv1D(3, dilation_rate=2)(hidden, mask=mask)
    return keras.Model([inputs, mask], keras.layers.Dense(1)(MaskedAverage()(hidden, mask=mask)))


def test_the_mask_travels_from_layer_to_layer():
    mask = lengths_mask()
    x = np.where(mask[..., None], series(3, 6), 0.0).astype("float32")
    first, second = CausalConv1D(4), CausalConv1D(3, dilation_rate=2)
    inputs = keras.Input((None, 5))
    model = keras.Model(inputs, MaskedAverage()(second(first(keras.layers.Masking()(inputs)))))
    pooled = average_module.reference(convolved(second, convolved(first, x, mask), mask), (), mask)
    np.testing.assert_allclose(run(model, x), pooled, 1e-4, 1e-5)


def test_padding_length_changes_nothing():
    x, mask, model = series(3, 6), lengths_mask(), network()
    longer = np.pad(x, [(0, 0), (0, 5), (0, 0)], constant_values=50)
    longer_mask = np.pad(mask, [(0, 0), (0, 5)])
    np.testing.assert_allclose(run(model, [longer, longer_mask]), run(model, [x, mask]), 1e-5, 1e-6)


def test_trains_with_a_smaller_last_batch():
    keras.utils.set_random_seed(0)
    x, mask, model = series(6, 6), lengths_mask(6, first=0), network()
    x[~mask] = np.nan
    before = [weight.copy() for weight in model.get_weights()]
    model.compile("sgd", "mse")
    history = model.fit([x, mask], np.ones((6, 1)), batch_size=4, verbose=0)
    assert np.isfinite(history.history["loss"]).all()
    assert all((now != then).any() for now, then in zip(model.get_weights(), before, strict=True))


@pytest.mark.parametrize("garbage", [0.0, np.nan])
def test_compiled_equals_eager(garbage):
    x, mask = series(), lengths_mask(first=0)
    x[~mask] = garbage
    convolve, average = built(CausalConv1D(3)), MaskedAverage()

    def both(x, mask):
        return average(convolve(x, mask=mask), mask=mask)

    tensors = ops.convert_to_tensor(x), ops.convert_to_tensor(mask)
    np.testing.assert_allclose(run(compiled(both), *tensors), run(both, *tensors), 1e-5, 1e-6)
    (eager,) = gradients(lambda x: ops.sum(both(x, mask) ** 2), x)
    assert np.isfinite(eager).all()


def test_whole_numbers_are_cast():
    x, mask = np.arange(18).reshape(1, 6, 3), lengths_mask(1, first=4)
    np.testing.assert_array_equal(run(MaskedAverage(dtype="float16"), x, mask=mask), [[4.5, 5.5, 6.5]])
    layer = built(CausalConv1D(2), 3)
    np.testing.assert_allclose(run(layer, x, mask=mask), convolved(layer, x, mask), 1e-5, 1e-5)


def test_an_empty_batch_keeps_its_trailing_shape():
    x, mask = series(0), np.zeros((0, 6), bool)
    for layer, shape in ((MaskedAverage(), (0, 5)), (CausalConv1D(4), (0, 6, 4))):
        assert run(layer, x, mask=mask).shape == shape
        (gradient,) = gradients(lambda x, layer=layer: ops.sum(layer(x, mask=mask)), x)
        assert gradient.shape == x.shape


def test_save_and_load(tmp_path):
    x, mask, model = series(), lengths_mask(), network()
    model.layers[2].bias.assign([0.1, 0.2, 0.3, 0.4])
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(run(loaded, [x, mask]), run(model, [x, mask]))


@pytest.mark.parametrize(
    "layer",
    [
        MaskedAverage((1, 2), True, -1.0, "sqrt_len", "channels_first", name="pool"),
        CausalConv1D(4, 2, 3, 2, "tanh", False, "ones", "ones", "l1", "l2", "non_neg", "unit_norm", dtype="bfloat16"),
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_config_keeps_every_argument(layer):
    config = layer.get_config()
    assert type(layer).from_config(config).get_config() == config
    assert keras.saving.get_registered_name(type(layer)) == f"layerwright>{type(layer).__name__}"


def test_the_alias_is_the_same_class():
    assert ThreePointDependency is CausalConv1D


BAD_ARGUMENTS = {
    r"^MaskedAverage: axis must be an integer other than 0 .* \(got 0\); pass axis=1 to": lambda: MaskedAverage(0),
    r"^MaskedAverage: axis must be .* \(got \(\)\)": lambda: MaskedAverage(axis=()),
    r"^MaskedAverage: axis must be .* \(got 1.0\)": lambda: MaskedAverage(axis=1.0),
    r"^MaskedAverage: mode must be one of 'mean', 'sqrt_len', 'sum' \(got 'max'\)\.$": lambda: MaskedAverage(
        mode="max"
    ),
    r"^MaskedAverage: data_format must be 'channels_.* \(got 'x'\)": lambda: MaskedAverage(data_format="x"),
    r"MaskedAverage: axis=3 is not valid for inputs of shape \(3, 6, 5\)": lambda: MaskedAverage(axis=3)(series()),
    r"^CausalConv1D: filters must be a positive integer \(got 0\)\.$": lambda: CausalConv1D(0),
    r"^CausalConv1D: filters must be .* \(got 2\.5\)\.$": lambda: CausalConv1D(2.5),
    r"^CausalConv1D: kernel_size must be .* \(got -1\)": lambda: CausalConv1D(4, kernel_size=-1),
    r"^CausalConv1D: dilation_rate must be .* \(got True\)": lambda: CausalConv1D(4, dilation_rate=True),
    r"^CausalConv1D: groups must divide filters \(got groups=3, filters=4\)\.$": lambda: CausalConv1D(4, groups=3),
    r"^CausalConv1D: get_initial_state needs the number of features, .*; call the layer once": lambda: CausalConv1D(
        4
    ).get_initial_state(2),
    r"must be known and divisible by groups=2 \(got inputs of shape \(3, 6, 5\)\)": lambda: CausalConv1D(4, groups=2)(
        series()
    ),
    r"expected ndim=3, found ndim=2": lambda: CausalConv1D(4)(series()[0]),
}


@pytest.mark.parametrize("message", BAD_ARGUMENTS)
def test_bad_arguments_are_named(message):
    with pytest.raises(ValueError, match=message):
        BAD_ARGUMENTS[message]()


@pytest.mark.parametrize("layer", [MaskedAverage(), CausalConv1D(4)], ids=lambda layer: type(layer).__name__)
@pytest.mark.parametrize(
    ("shape", "seen"),
    [
        ((3, 9), "inputs have 6 time steps"),
        ((4, 6), "inputs have 3 samples"),
        ((3,), r"inputs have shape \(3, 6, 5\)"),
        ((3, 6, 5, 1), r"inputs have shape \(3, 6, 5\)"),
    ],
)
def test_a_mask_that_does_not_fit_is_named(layer, shape, seen):
    message = (
        rf"{type(layer).__name__}: mask has shape \({', '.join(map(str, shape))},?\) but {seen}; pass a mask of shape"
    )
    with pytest.raises(ValueError, match=message):
        layer(series(), mask=np.ones(shape, bool))


def test_a_full_mask_of_other_features_is_named():
    with pytest.raises(
        ValueError, match=r"mask has shape \(3, 6, 1\) but inputs have size 5 on axis 2; pass a mask of"
    ):
        MaskedAverage()(series(), mask=np.ones((3, 6, 1), bool))
