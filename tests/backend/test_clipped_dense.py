"""`ClippedDense`: against its NumPy reference, and its gradient on the bounds."""

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from keras import ops

from layer_tools import (
    FEW,
    TOLERANCES,
    assert_close,
    assert_gradients,
    compiled,
    gradients,
    moved,
    run,
    series,
    weights_of,
)
from layerwright.layers import ClippedDense, ClippingWeightedSum
from layerwright.layers.clipped_dense import reference


def built(features=5, **options):
    layer = ClippedDense(4, **options)
    layer.build((None, features))
    return layer if options.get("learn_bounds") else moved(layer)


@FEW
@given(data=st.data())
def test_is_its_reference(data):
    policy = data.draw(st.sampled_from(sorted(TOLERANCES)), label="policy")
    bounds = data.draw(st.sampled_from([(-1.0, 1.0), (-0.5, 0.25), (0.0, 6.0)]), label="bounds")
    options = {
        "clip_min": bounds[0],
        "clip_max": bounds[1],
        "reduce": data.draw(st.sampled_from([None, "sum"]), label="reduce"),
    }
    layer = built(
        use_bias=data.draw(st.booleans(), label="use_bias"),
        gradient=data.draw(st.sampled_from(["hard", "straight_through"]), label="gradient"),
        dtype=policy,
        **options,
    )
    shape = data.draw(st.sampled_from([(0, 5), (3, 5), (2, 3, 5), (2, 3, 2, 5)]), label="shape")
    x = 2 * np.random.default_rng(0).standard_normal(shape).astype("float32")

    outputs = run(layer, x)

    assert outputs.shape == layer.compute_output_shape(x.shape)
    assert_close(outputs, reference(x, weights_of(layer), **options), policy)


@pytest.mark.parametrize(("gradient", "expected"), [("hard", [0, 1, 1, 1, 0]), ("straight_through", [1] * 5)])
def test_gradient_on_the_bounds(gradient, expected):
    layer = ClippedDense(1, kernel_initializer="ones", gradient=gradient)
    x = np.array([[-2.0, -1.0, 0.0, 1.0, 2.0]], "float32")
    np.testing.assert_array_equal(gradients(lambda x: ops.sum(layer(x)), x)[0], [expected])


def test_infinity_is_clipped_and_nan_stays():
    for gradient in ("hard", "straight_through"):
        layer = ClippedDense(1, kernel_initializer="ones", gradient=gradient)
        np.testing.assert_array_equal(run(layer, np.array([[np.inf], [-np.inf], [np.nan]])), [[1], [-1], [np.nan]])


@pytest.mark.parametrize("gradient", ["hard", "straight_through"])
def test_learned_bounds_learn(gradient):
    layer = built(learn_bounds=True, gradient=gradient)

    def loss(lower, upper):
        with keras.StatelessScope([(layer.lower, lower), (layer.upper, upper)]):
            return ops.sum(layer(3 * series()) ** 2)

    assert all(gradient != 0 for gradient in gradients(loss, np.float32(-0.7), np.float32(0.4)))


def test_bounds_that_crossed_make_one_number():
    layer = built(learn_bounds=True, use_bias=False)
    layer.lower.assign(0.5)
    layer.upper.assign(-0.5)
    expected = np.full((1, 5), 0.5) @ weights_of(layer)[0]
    assert_close(run(layer, series(1, 1, 5)[0]), expected)


def test_gradient_by_finite_differences():
    layer = built(reduce="sum")
    x = np.array([[-3.0, -0.5, 0.1, 0.6, 2.0]], "float32")
    assert_gradients(lambda x: ops.sum(layer(x) ** 2), x)


def test_compiled_equals_eager():
    layer, x = built(learn_bounds=True), ops.convert_to_tensor(2 * series())
    assert_close(run(compiled(lambda x: layer(x)), x), run(layer, x))


def test_the_alias_is_the_same_class():
    assert ClippingWeightedSum is ClippedDense
