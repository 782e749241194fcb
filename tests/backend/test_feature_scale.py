"""`FeatureScale`: against its NumPy reference, and where the naive version goes wrong."""

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
    lengths_mask,
    moved,
    run,
    series,
    weights_of,
)
from layerwright.layers import FeatureScale, WeightedSum
from layerwright.layers.feature_scale import reference


def built(shape, **options):
    layer = FeatureScale(**options)
    layer.build((None, *shape))
    return moved(layer)


@FEW
@given(data=st.data())
def test_is_its_reference(data):
    policy = data.draw(st.sampled_from(sorted(TOLERANCES)), label="policy")
    options = {
        "axis": data.draw(st.sampled_from([-1, 1, (1, 2), (2,)]), label="axis"),
        "reduce": data.draw(st.sampled_from([None, "sum", "mean"]), label="reduce"),
        "keepdims": data.draw(st.booleans(), label="keepdims"),
    }
    batch = data.draw(st.integers(0, 4), label="batch")
    layer = built((6, 5), use_bias=data.draw(st.booleans(), label="use_bias"), dtype=policy, **options)
    x = series(batch, 6, 5)
    mask = lengths_mask(batch, 6, first=0) if data.draw(st.booleans(), label="masked") else None

    outputs = run(layer, x, mask=mask)

    assert outputs.shape == layer.compute_output_shape(x.shape)
    assert_close(outputs, reference(x, weights_of(layer), mask, **options), policy)


def test_a_scale_that_fits_another_axis_stays_on_its_own():
    layer = built((5, 5))
    assert_close(run(layer, series(5, 5, 5)), series(5, 5, 5) * weights_of(layer)[0])
    with pytest.raises(ValueError, match="expected axis 2 of input shape to have value 5"):
        layer(series(5, 5, 1))


@pytest.mark.parametrize("reduce", [None, "sum", "mean"])
def test_padding_reaches_neither_output_nor_scale(reduce):
    mask = lengths_mask(first=0)
    x = np.where(mask[..., None], series(), np.nan).astype("float32")
    layer = built((6, 5), axis=(1, 2), reduce=reduce)
    assert np.isfinite(run(layer, x, mask=mask)).all()

    def loss(scale):
        with keras.StatelessScope([(layer.scale, scale)]):
            return ops.sum(layer(x, mask=mask) ** 2)

    (gradient,) = gradients(loss, weights_of(layer)[0])
    assert np.isfinite(gradient).all()
    assert gradient.any()


def test_a_mean_does_not_count_padding():
    layer = FeatureScale(axis=(1, 2), reduce="mean")
    x, mask = np.full((2, 4, 3), 2.0, "float32"), np.array([[True, True, False, False], [False] * 4])
    np.testing.assert_allclose(run(layer, x, mask=mask), [2.0, 0.0], 1e-6)


def test_the_mask_travels_on_unless_its_axis_is_gone():
    symbolic = keras.Input((6, 5))
    masked = keras.layers.Masking()(symbolic)
    for options, travels in (({}, True), ({"reduce": "sum"}, True), ({"reduce": "sum", "axis": 1}, False)):
        outputs = FeatureScale(**options)(masked)
        assert (getattr(outputs, "_keras_mask", None) is not None) == travels


def test_half_precision_sums_do_not_overflow():
    layer = FeatureScale(axis=1, reduce="mean", dtype="float16")
    np.testing.assert_array_equal(run(layer, np.full((1, 300, 1), 300.0)), [[300.0]])


@pytest.mark.parametrize("reduce", [None, "sum", "mean"])
def test_gradient_by_finite_differences(reduce):
    layer = built((6, 5), reduce=reduce, use_bias=True)
    assert_gradients(lambda x: ops.sum(layer(x, mask=lengths_mask(2)) ** 2), series(2))


def test_compiled_equals_eager():
    layer = built((6, 5), reduce="mean", axis=(1, 2))
    x, mask = ops.convert_to_tensor(series()), ops.convert_to_tensor(lengths_mask(first=0))
    assert_close(run(compiled(lambda x, mask: layer(x, mask=mask)), x, mask), run(layer, x, mask=mask))


def test_the_alias_is_the_same_class():
    assert WeightedSum is FeatureScale
    assert gradients(lambda x: ops.sum(WeightedSum()(x)), series(0))[0].shape == (0, 6, 5)
