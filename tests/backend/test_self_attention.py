"""`SelfAttention`: against its NumPy reference, its masks, and step by step."""

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
from layerwright.layers import CustomAttention, SelfAttention
from layerwright.layers.self_attention import reference


def built(features=5, **options):
    layer = SelfAttention(4, **options)
    layer.build((None, None, features))
    return moved(layer)


def attended(layer, x, mask=None):
    names = ("num_heads", "num_kv_heads", "causal", "sliding_window", "normalize_qk", "scale")
    return reference(x, weights_of(layer), mask, **{name: getattr(layer, name) for name in names})


@FEW
@given(data=st.data())
def test_is_its_reference(data):
    policy = data.draw(st.sampled_from(sorted(TOLERANCES)), label="policy")
    heads, kv_heads = data.draw(st.sampled_from([(1, None), (2, None), (4, 2), (2, 1)]), label="heads")
    layer = built(
        num_heads=heads,
        num_kv_heads=kv_heads,
        value_dim=data.draw(st.sampled_from([None, 3]), label="value_dim"),
        output_dim=data.draw(st.sampled_from([None, 6]), label="output_dim"),
        use_bias=data.draw(st.booleans(), label="use_bias"),
        causal=data.draw(st.booleans(), label="causal"),
        normalize_qk=data.draw(st.booleans(), label="normalize_qk"),
        sliding_window=data.draw(st.sampled_from([None, 2]), label="sliding_window"),
        dtype=policy,
    )
    batch, time = data.draw(st.integers(0, 3), label="batch"), data.draw(st.integers(1, 6), label="time")
    x = series(batch, time)
    mask = lengths_mask(batch, time, first=0) if data.draw(st.booleans(), label="masked") else None
    assert_close(run(layer, x, mask=mask), attended(layer, x, mask), policy)


def test_a_mask_that_fits_two_ways():
    x, mask, layer = series(5, 5, 5), lengths_mask(5, 5), built(num_heads=5)
    assert_close(run(layer, x, mask=mask), attended(layer, x, mask))


@pytest.mark.parametrize("garbage", [np.nan, np.inf, 3e38])
@pytest.mark.parametrize("options", [{}, {"causal": True}, {"num_heads": 2, "num_kv_heads": 1}])
def test_nothing_leaks_out_of_the_padding(options, garbage):
    mask, layer = lengths_mask(first=0), built(**options)
    clean = np.where(mask[..., None], series(), 0)
    dirty = np.where(mask[..., None], clean, np.float32(garbage))
    np.testing.assert_array_equal(run(layer, dirty, mask=mask), run(layer, clean, mask=mask))
    (gradient,) = gradients(lambda x: ops.sum(layer(x, mask=mask) ** 2), dirty)
    assert np.isfinite(gradient).all()


def test_a_row_with_nothing_valid_gives_zeros():
    x, mask = series(2), np.zeros((2, 6), bool)
    outputs, scores = SelfAttention(4)(x, mask=mask, return_attention_scores=True)
    np.testing.assert_array_equal(run(lambda: outputs), 0)
    np.testing.assert_array_equal(run(lambda: scores), 0)


def test_scores_are_weights_of_what_may_be_seen():
    layer, x = built(num_heads=2, causal=True), series()
    outputs, scores = layer(x, return_attention_scores=True)
    weights = run(lambda: scores)
    np.testing.assert_allclose(weights.sum(-1), 1, 1e-5)
    np.testing.assert_array_equal(np.triu(weights, 1), 0)
    assert_close(run(lambda: outputs), run(layer, x))


def test_large_key_dims_do_not_saturate_and_half_precision_does_not_overflow():
    x = 100 * series(2, 6, 64)
    layer = SelfAttention(256, dtype="float16", kernel_initializer=keras.initializers.GlorotUniform(seed=0))
    assert np.isfinite(run(layer, x)).all()


@pytest.mark.parametrize("policy", sorted(TOLERANCES))
@pytest.mark.parametrize(
    "options", [{}, {"num_heads": 4, "num_kv_heads": 2, "use_bias": True}, {"sliding_window": 2, "normalize_qk": True}]
)
def test_streaming_equals_the_whole_series(policy, options):
    layer = built(causal=True, dtype=policy, **options)
    x, mask = series(), lengths_mask()
    state, steps = layer.get_initial_state(3, 6), []
    for t in range(6):
        output, state = layer.step(x[:, t], state, mask=mask[:, t])
        steps.append(run(lambda output=output: output))
    assert_close(np.stack(steps, 1), run(layer, x, mask=mask), policy)
    with pytest.raises(ValueError, match="the state holds at most 6 steps, and it is full; pass a larger max_length"):
        layer.step(x[:, 0], state)


def test_further_axes_are_batch():
    layer, x, mask = built(), series(6, 4, 5), lengths_mask(6, 4)
    folded = run(layer, x.reshape(2, 3, 4, 5), mask=mask.reshape(2, 3, 4))
    assert_close(folded.reshape(6, 4, 5), run(layer, x, mask=mask))


def test_dropout_acts_in_training_alone():
    layer, x = built(dropout=0.5, seed=1), series()
    assert_close(run(layer, x, training=False), attended(layer, x))
    assert np.abs(run(layer, x, training=True) - run(layer, x, training=True)).max() > 0.01


def test_equal_kernels_are_not_drawn():
    layer = SelfAttention(5)
    layer.build((None, None, 5))
    query, key, *_ = weights_of(layer)
    assert np.abs(query - key).max() > 0.1


@pytest.mark.parametrize("options", [{}, {"causal": True, "num_heads": 2, "num_kv_heads": 1}])
def test_gradient_by_finite_differences(options):
    layer, mask = built(**options), lengths_mask(2, 3)
    assert_gradients(lambda x: ops.sum(layer(x, mask=mask) ** 2), series(2, 3))


def test_compiled_equals_eager():
    layer = built(num_heads=2, causal=True)
    x, mask = ops.convert_to_tensor(series()), ops.convert_to_tensor(lengths_mask(first=0))
    assert_close(run(compiled(lambda x, mask: layer(x, mask=mask)), x, mask), run(layer, x, mask=mask))


BAD = {
    "num_kv_heads must divide num_heads .got num_kv_heads=3, num_heads=4.": lambda: SelfAttention(4, 4, 3),
    "dropout must be at least 0 and less than 1 .got 1.": lambda: SelfAttention(4, dropout=1),
    "sliding_window must be a positive integer .got 0.": lambda: SelfAttention(4, sliding_window=0),
    "expected min_ndim=3, found ndim=2": lambda: SelfAttention(4)(np.zeros((2, 5))),
    "streaming needs causal=True, because a step attends to later steps otherwise": lambda: SelfAttention(
        4
    ).get_initial_state(1, 2),
    "mask has shape .3, 9. but inputs have 6 time steps": lambda: SelfAttention(4)(
        series(), mask=np.ones((3, 9), bool)
    ),
}


@pytest.mark.parametrize("message", BAD)
def test_bad_input_is_named(message):
    with pytest.raises(ValueError, match=message):
        BAD[message]()


def test_the_alias_is_the_same_class():
    assert CustomAttention is SelfAttention
