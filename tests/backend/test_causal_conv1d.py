"""`CausalConv1D`: against its NumPy reference, and where the naive version goes wrong."""

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from keras import ops

from layer_tools import FEW, TOLERANCES, built, convolved, gradients, lengths_mask, run, series, slopes
from layerwright.layers import CausalConv1D


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
        run(lambda: outputs), convolved(layer, x, mask), 10 * TOLERANCES[policy], 10 * TOLERANCES[policy]
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
