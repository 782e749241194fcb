"""`ScaledExponential`: against its NumPy reference, and where the naive version overflows."""

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
from layerwright.layers import ScaledExponential
from layerwright.layers.scaled_exponential import LARGEST, reference


def built(shape, **options):
    layer = ScaledExponential(**options)
    layer.build((None, *shape))
    return moved(layer)


@FEW
@given(data=st.data())
def test_is_its_reference(data):
    policy = data.draw(st.sampled_from(sorted(TOLERANCES)), label="policy")
    options = {
        "scale": data.draw(st.sampled_from([1.0, -2.0, 0.25]), label="scale"),
        "axis": data.draw(st.sampled_from([-1, 1]), label="axis"),
        "output": data.draw(st.sampled_from(["linear", "log"]), label="output"),
    }
    learn_scale = data.draw(st.booleans(), label="learn_scale")
    layer = built((6, 5), learn_scale=learn_scale, dtype=policy, **options)
    x = series(data.draw(st.integers(0, 4), label="batch"), 6, 5)

    assert_close(run(layer, x), reference(x, weights_of(layer), **options), policy)


@pytest.mark.parametrize("scale", [1.0, -3.0, 0.1])
@pytest.mark.parametrize("policy", ["float16", "bfloat16", "float32"])
def test_never_overflows(policy, scale):
    layer = ScaledExponential(scale=scale, dtype=policy)
    x = np.array([[-1e4, 0.0, 11.0, 50.0, 1e4]])
    outputs = run(layer, x)
    assert np.isfinite(outputs).all()
    assert outputs[0, 0] == 0
    largest = LARGEST[policy] * min(abs(scale), 1)
    np.testing.assert_allclose(abs(outputs[0, -1]), largest, 1e-2)


@pytest.mark.parametrize("output", ["linear", "log"])
def test_a_cut_exponent_has_gradients_of_zero(output):
    layer = ScaledExponential(learn_scale=True, scale=2.0, output=output)
    layer.build((None, 2))
    (by_x,) = gradients(lambda x: ops.sum(layer(x)), np.array([[1.0, 1e4]], "float32"))
    assert np.isfinite(by_x).all()
    assert by_x[0, 0] > 0
    assert by_x[0, 1] == 0


def test_log_output_is_the_log_of_the_linear():
    x = series()
    linear, log = (built((6, 5), scale=-3.0, output=output) for output in ("linear", "log"))
    np.testing.assert_allclose(run(log, x), np.log(np.abs(run(linear, x))), 1e-4, 1e-5)


def test_a_bound_of_ones_own():
    np.testing.assert_allclose(
        run(ScaledExponential(max_logit=1.0), np.array([[0.5, 5.0]])), [np.exp([0.5, 1.0])], 1e-6
    )


def test_gradient_by_finite_differences():
    layer = built((6, 5), learn_scale=True)
    assert_gradients(lambda x: ops.mean(layer(x) ** 2), 0.3 * series(2))


def test_compiled_equals_eager():
    layer = built((6, 5), learn_scale=True)
    x = ops.convert_to_tensor(100 * series())
    assert_close(run(compiled(lambda x: layer(x)), x), run(layer, x))
