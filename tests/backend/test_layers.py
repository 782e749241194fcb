"""The layers: against their NumPy references, and where the naive version of each goes wrong."""

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import ops

from layerwright import backends
from layerwright.layers import CausalConv1D, MaskedAverage, ThreePointDependency
from layerwright.layers import causal_conv1d as conv_module
from layerwright.layers import masked_average as average_module

FEW = settings(max_examples=6, deadline=None, derandomize=True, database=None)
TOLERANCES = {"float32": 1e-5, "mixed_float16": 5e-3, "mixed_bfloat16": 4e-2}


def series(batch=3, time=6, features=5, seed=0):
    return np.random.default_rng(seed).standard_normal((batch, time, features)).astype("float32")


def lengths_mask(batch=3, time=6, first=1):
    """A mask (batch, time) whose row i is true for `first` + i steps."""
    return np.arange(time) < (first + np.arange(batch))[:, None]


def run(function, *args, **kwargs):
    """Call without recording gradients; return float64 NumPy."""
    with backends.current().inference():
        return to_numpy(function(*args, **kwargs))


def to_numpy(tensor):
    return ops.convert_to_numpy(ops.cast(tensor, "float32")).astype("float64")


def gradients(function, *arrays):
    tensors = [ops.convert_to_tensor(array) for array in arrays]
    return [to_numpy(gradient) for gradient in backends.current().gradient(function, tensors)]


def slopes(function, *arrays, step=1e-2):
    """Central differences of a scalar function along every entry of each array."""
    found = []
    for position, array in enumerate(arrays):
        slope = np.zeros(array.shape)
        for index in np.ndindex(array.shape):
            sides = []
            for sign in (1, -1):
                moved = [other.copy() for other in arrays]
                moved[position][index] += sign * step
                sides.append(float(run(function, *map(ops.convert_to_tensor, moved))))
            slope[index] = (sides[0] - sides[1]) / (2 * step)
        found.append(slope)
    return found


def compiled(function):
    """XLA on JAX and TensorFlow; on torch what Dynamo traces, without the minutes that its code generator takes."""
    if backends.current().NAME == "jax":
        return backends.current().jit(function)
    if backends.current().NAME == "tensorflow":
        import tensorflow as tf

        return tf.function(function, jit_compile=True, autograph=False)
    import torch

    return torch.compile(function, backend="eager")


# MaskedAverage


@FEW
@given(data=st.data())
def test_masked_average_is_its_reference(data):
    batch, time, features = (
        data.draw(st.integers(0, most), label=name) for most, name in ((4, "batch"), (7, "time"), (3, "features"))
    )
    policy = data.draw(st.sampled_from(sorted(TOLERANCES)), label="policy")
    options = {
        "mode": data.draw(st.sampled_from(["mean", "sqrt_len", "sum"])),
        "empty_value": data.draw(st.sampled_from([0.0, -1.0])),
    }
    rng = np.random.default_rng(data.draw(st.integers(0, 99), label="seed"))
    shape = data.draw(st.sampled_from([(batch, time), (batch, time, features)]), label="mask shape")
    mask = {
        "none": None,
        "boolean": rng.random(shape) < 0.6,
        "weights": (rng.random(shape) * (rng.random(shape) < 0.6)).astype("float32"),
    }[data.draw(st.sampled_from(["none", "boolean", "weights"]), label="mask")]
    x = rng.standard_normal((batch, time, features)).astype("float32")

    outputs = MaskedAverage(dtype=policy, **options)(x, mask=mask)

    assert keras.backend.standardize_dtype(outputs.dtype) == keras.DTypePolicy(policy).compute_dtype
    tolerance = TOLERANCES[policy]
    np.testing.assert_allclose(
        run(lambda: outputs), average_module.reference(x, (), mask, **options), tolerance, 4 * tolerance
    )


def test_masked_average_of_a_mask_that_fits_two_ways():
    x, mask = series(5, 5, 5), lengths_mask(5, 5)
    naive = np.sum(x * mask, axis=1) / np.sum(mask, axis=1)  # (batch, time) broadcasts as (time, features)
    expected = average_module.reference(x, (), mask)
    assert np.abs(naive - expected).max() > 0.1
    np.testing.assert_allclose(run(MaskedAverage(), x, mask=mask), expected, 1e-5, 1e-6)


@pytest.mark.parametrize("kind", ["bool", "float32", "int32"])
@pytest.mark.parametrize("garbage", [np.nan, np.inf, 3e38])
def test_nothing_leaks_out_of_the_padding(kind, garbage):
    mask = lengths_mask()
    clean, weights = np.where(mask[..., None], series(), 0), mask.astype(kind)
    dirty = np.where(mask[..., None], clean, np.float32(garbage))
    layer = MaskedAverage()
    np.testing.assert_array_equal(run(layer, dirty, mask=weights), run(layer, clean, mask=weights))

    def loss(x):
        return ops.sum(layer(x, mask=weights) ** 2)

    (found,), (expected,) = gradients(loss, dirty), gradients(loss, clean)
    np.testing.assert_array_equal(found, expected)
    assert not found[~mask].any()


def test_masked_nan_leaves_the_gradient_of_weights_finite():
    weights = lengths_mask().astype("float32")
    dirty = np.where(weights[..., None] > 0, series(), np.float32(np.nan))
    layer = MaskedAverage()
    for gradient in gradients(lambda x, w: ops.sum(layer(x, mask=w) ** 2), dirty, weights):
        assert np.isfinite(gradient).all()


@pytest.mark.parametrize("mode", ["mean", "sqrt_len", "sum"])
@pytest.mark.parametrize("masked", [np.array([[True] * 3, [False] * 3]), np.array([[0.5] * 3, [0.0] * 3], "float32")])
def test_a_row_with_nothing_valid(mode, masked):
    x, layer = series(2, 3, 2), MaskedAverage(mode=mode, empty_value=-7.0)
    np.testing.assert_array_equal(run(layer, x, mask=masked)[1], [-7.0, -7.0])
    (gradient,) = gradients(lambda x: ops.sum(layer(x, mask=masked) ** 2), x)
    assert np.isfinite(gradient).all()
    assert not gradient[1].any()
    assert gradient[0].all()


def test_long_half_precision_averages_do_not_overflow():
    x, mask = np.full((2, 2000, 3), 100.0, "float16"), np.ones((2, 2000), bool)
    with np.errstate(over="ignore"):
        assert np.isinf(x.sum(axis=1)).all()
    np.testing.assert_array_equal(run(MaskedAverage(dtype="float16"), x, mask=mask), np.full((2, 3), 100.0))


def test_masked_average_gradient_by_finite_differences():
    x, weights = series(2, 3, 2), np.array([[0.5, 0.0, 1.5], [1.0, 0.2, 0.3]], "float32")
    for mode in ("mean", "sqrt_len", "sum"):
        layer = MaskedAverage(mode=mode)

        def loss(x, w, layer=layer):
            return ops.sum(ops.sin(layer(x, mask=w)))

        for found, expected in zip(gradients(loss, x, weights), slopes(loss, x, weights), strict=True):
            np.testing.assert_allclose(found, expected, 5e-3, 5e-3)


@pytest.mark.parametrize("axis", [1, -2, (1,), [1]])
def test_axis_may_be_said_in_several_ways(axis):
    x, mask = series(), lengths_mask()
    np.testing.assert_allclose(
        run(MaskedAverage(axis=axis), x, mask=mask), average_module.reference(x, (), mask), 1e-5, 1e-6
    )


@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize("axis", [1, 3, (1, 2)])
@pytest.mark.parametrize("rank", [None, 2, 4])
def test_axes_and_layouts(axis, rank, keepdims):
    """Every mask rank on an image, against a product with the mask written out, in both layouts."""
    x = np.random.default_rng(0).standard_normal((2, 3, 4, 5)).astype("float32")
    mask = None if rank is None else np.random.default_rng(1).random(x.shape[:rank]) < 0.7
    w = np.ones(x.shape) if mask is None else np.broadcast_to(mask.reshape(mask.shape + (1,) * (4 - rank)), x.shape)
    length = w.sum(axis, keepdims=keepdims)
    expected = np.where(length > 0, (x * w).sum(axis, keepdims=keepdims) / np.maximum(length, 1), 0.0)
    layer = MaskedAverage(axis, keepdims, data_format="channels_last")
    np.testing.assert_allclose(run(layer, x, mask=mask), expected, 1e-5, 1e-5)
    assert layer.compute_output_shape((None, *x.shape[1:])) == (None, *expected.shape[1:])

    first = MaskedAverage(axis, keepdims, data_format="channels_first")
    mask = np.moveaxis(mask, -1, 1) if rank == 4 else mask
    outputs = run(first, np.moveaxis(x, -1, 1), mask=mask)
    moved = (
        np.moveaxis(expected, -1, 1)
        if keepdims or (expected.ndim > 2 and 3 not in np.atleast_1d(axis) % 4)
        else expected
    )
    np.testing.assert_allclose(outputs, moved, 1e-5, 1e-5)


def test_masked_average_consumes_the_mask_that_travels():
    x = np.where(lengths_mask()[..., None], series(), 0).astype("float32")
    inputs = keras.Input((None, 5))
    pooled = MaskedAverage()(keras.layers.Masking()(inputs))
    assert keras.src.backend.get_keras_mask(pooled) is None
    np.testing.assert_allclose(
        run(keras.Model(inputs, pooled), x), average_module.reference(x, (), lengths_mask()), 1e-5, 1e-6
    )


# CausalConv1D


def built(layer, features=5):
    """Build it, and move the bias off zero."""
    layer.build((None, None, features))
    if layer.use_bias:
        layer.bias.assign(np.linspace(-0.5, 0.5, layer.filters))
    return layer


def reference(layer, x, mask=None):
    weights = [ops.convert_to_numpy(weight.value) for weight in layer.weights]
    relu = (lambda y: np.maximum(y, 0)) if layer.activation is keras.activations.relu else None
    return conv_module.reference(
        x, weights, mask, dilation_rate=layer.dilation_rate[0], groups=layer.groups, activation=relu
    )


@FEW
@given(data=st.data())
def test_causal_conv_is_its_reference(data):
    groups = data.draw(st.integers(1, 2), label="groups")
    batch, time = data.draw(st.integers(0, 4), label="batch"), data.draw(st.integers(1, 7), label="time")
    policy = data.draw(st.sampled_from(sorted(TOLERANCES)), label="policy")
    layer = CausalConv1D(
        2 * groups,
        data.draw(st.integers(1, 4), label="kernel_size"),
        data.draw(st.integers(1, 3), label="dilation_rate"),
        groups,
        data.draw(st.sampled_from(["relu", None]), label="activation"),
        data.draw(st.booleans(), label="use_bias"),
        dtype=policy,
    )
    built(layer, 3 * groups)
    x = series(batch, time, 3 * groups)
    mask = lengths_mask(batch, time, first=0) if data.draw(st.booleans(), label="masked") else None

    outputs = layer(x, mask=mask)

    assert keras.backend.standardize_dtype(outputs.dtype) == keras.DTypePolicy(policy).compute_dtype
    np.testing.assert_allclose(
        run(lambda: outputs), reference(layer, x, mask), 10 * TOLERANCES[policy], 10 * TOLERANCES[policy]
    )


def test_samples_stay_apart_where_a_reshape_would_mix_them():
    batch, time = 4, 4  # batch * (time + 2) is divisible by time: the reshape goes through
    x, layer = series(batch, time), built(CausalConv1D(3, activation=None))
    other = x.copy()
    other[0] += 1

    def windows(x):
        return np.pad(x, [(0, 0), (2, 0), (0, 0)]).reshape(-1, time, 5)

    assert (windows(x) != windows(other)).any(axis=(1, 2)).nonzero()[0].tolist() == [0, 1]
    before, after = run(layer, x), run(layer, other)
    assert before.shape == (batch, time, 3)
    np.testing.assert_array_equal((before != after).any(axis=(1, 2)), [True, False, False, False])


def test_causal_conv_without_a_mask_is_the_built_in():
    x, layer = series(), built(CausalConv1D(4, dilation_rate=2))
    theirs = keras.layers.Conv1D(4, 3, padding="causal", dilation_rate=2, activation="relu")
    theirs.build(x.shape)
    theirs.set_weights(layer.get_weights())
    np.testing.assert_array_equal(run(layer, x), run(theirs, x))


def test_causal_conv_receptive_field():
    x, layer = series(1, 9), built(CausalConv1D(3, kernel_size=3, dilation_rate=2, activation=None))
    other = x.copy()
    other[0, 2] += 1
    assert layer.receptive_field == 5
    assert (run(layer, x) != run(layer, other)).any(axis=(0, 2)).nonzero()[0].tolist() == [2, 4, 6]


@pytest.mark.parametrize("garbage", [np.nan, np.inf, 3e38])
def test_no_padding_reaches_later_steps_or_the_kernel(garbage):
    mask = np.array([[False, True, True, False, True], [False] * 5])
    clean = np.where(mask[..., None], series(2, 5), 0).astype("float32")
    dirty = np.where(mask[..., None], clean, np.float32(garbage))
    layer = built(CausalConv1D(3))
    np.testing.assert_array_equal(run(layer, dirty, mask=mask), run(layer, clean, mask=mask))

    def loss(x, kernel):
        (outputs, _) = layer.stateless_call([kernel, layer.bias.value], [], x, mask=mask)
        return ops.sum(outputs**2)

    kernel = ops.convert_to_numpy(layer.kernel.value)
    for found, expected in zip(gradients(loss, dirty, kernel), gradients(loss, clean, kernel), strict=True):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("policy", sorted(TOLERANCES))
@pytest.mark.parametrize("options", [{}, {"kernel_size": 1}, {"kernel_size": 2, "dilation_rate": 3, "groups": 2}])
def test_streaming_equals_the_whole_series(policy, options):
    x, mask = series(3, 7, 4), lengths_mask(3, 7, first=3)
    layer = built(CausalConv1D(4, dtype=policy, **options), 4)
    state, outputs = layer.get_initial_state(batch_size=3), []
    for time in range(7):
        output, state = layer.step(x[:, time], state, mask=mask[:, time])
        outputs.append(run(lambda output=output: output))
    np.testing.assert_allclose(np.stack(outputs, 1), run(layer, x, mask=mask), TOLERANCES[policy], TOLERANCES[policy])


def test_causal_conv_gradient_by_finite_differences():
    x, layer = series(2, 4, 2), built(CausalConv1D(2, kernel_size=2, activation="tanh"), 2)

    def loss(x, kernel, bias):
        return ops.sum(ops.sin(layer.stateless_call([kernel, bias], [], x)[0]))

    arrays = x, *(ops.convert_to_numpy(weight.value) for weight in layer.weights)
    for found, expected in zip(gradients(loss, *arrays), slopes(loss, *arrays), strict=True):
        np.testing.assert_allclose(found, expected, 5e-3, 5e-3)


# Both


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
    pooled = average_module.reference(reference(second, reference(first, x, mask), mask), (), mask)
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
    np.testing.assert_allclose(run(layer, x, mask=mask), reference(layer, x, mask), 1e-5, 1e-5)


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
    r"^MaskedAverage: axis must be a whole number other than 0, .* \(got 0\); pass axis=1 to": lambda: MaskedAverage(0),
    r"^MaskedAverage: axis must be .* \(got \(\)\)": lambda: MaskedAverage(axis=()),
    r"^MaskedAverage: axis must be .* \(got 1.0\)": lambda: MaskedAverage(axis=1.0),
    r"^MaskedAverage: mode must be one of mean, sqrt_len, sum \(got 'max'\)\.$": lambda: MaskedAverage(mode="max"),
    r"^MaskedAverage: data_format must be 'channels_.* \(got 'x'\)": lambda: MaskedAverage(data_format="x"),
    r"MaskedAverage: axis=3 does not fit inputs of shape \(3, 6, 5\)": lambda: MaskedAverage(axis=3)(series()),
    r"^CausalConv1D: filters must be a whole number of at least 1 \(got 0\)\.$": lambda: CausalConv1D(0),
    r"^CausalConv1D: filters must be .* \(got 2\.5\)\.$": lambda: CausalConv1D(2.5),
    r"^CausalConv1D: kernel_size must be .* \(got -1\)": lambda: CausalConv1D(4, kernel_size=-1),
    r"^CausalConv1D: dilation_rate must be .* \(got True\)": lambda: CausalConv1D(4, dilation_rate=True),
    r"^CausalConv1D: groups must divide filters \(got groups=3, filters=4\)\.$": lambda: CausalConv1D(4, groups=3),
    r"^CausalConv1D: get_initial_state needs .* call the layer once": lambda: CausalConv1D(4).get_initial_state(2),
    r"inputs of shape \(3, 6, 5\) cannot be split into groups=2": lambda: CausalConv1D(4, groups=2)(series()),
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
