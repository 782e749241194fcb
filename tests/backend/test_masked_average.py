"""`MaskedAverage`: against its NumPy reference, and where the naive version goes wrong."""

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from keras import ops

from layer_tools import FEW, TOLERANCES, gradients, lengths_mask, run, series, slopes
from layerwright.layers import MaskedAverage
from layerwright.layers import masked_average as average_module


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
