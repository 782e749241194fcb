"""`SampleMap`: equal to the function applied row by row, in every mode; which mode `auto` finds; seeds and masks."""

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from keras import ops

from layer_tools import FEW, TOLERANCES, assert_close, assert_gradients, compiled, lengths_mask, run, series, to_numpy
from layerwright.layers import BatchAwareSquare, SampleMap
from layerwright.layers._sample_functions import centered, masked_total
from layerwright.layers.sample_map import reference

FUNCTIONS = {
    "centered": (centered, lambda x: x - x.mean()),
    "sorted": (lambda x: ops.sort(x, axis=0), lambda x: np.sort(x, axis=0)),
    "total": (ops.sum, np.sum),
    "exchanged": (ops.flip, np.flip),
}
MODES = ["auto", "vectorized", "map"]


@keras.saving.register_keras_serializable(package="tests")
def noise(sample, seed, training=None):
    """Noise of the sample's own, in training."""
    return keras.random.normal(ops.shape(sample), dtype=sample.dtype, seed=seed) if training else sample


def chosen_modes(layer):
    return {each.mode for strategies in layer._strategies.values() for each in strategies.values()}


@FEW
@given(data=st.data())
def test_is_its_reference(data):
    policy = data.draw(st.sampled_from(sorted(TOLERANCES)), label="policy")
    function, plain = FUNCTIONS[data.draw(st.sampled_from(sorted(FUNCTIONS)), label="function")]
    mode = data.draw(st.sampled_from(MODES), label="mode")
    chunk_size = data.draw(st.sampled_from([None, 1, 2, 7]), label="chunk_size")
    x = series(data.draw(st.integers(1, 5), label="rows"), 4, 3)
    layer = SampleMap(function, mode=mode, chunk_size=chunk_size, dtype=policy)
    assert_close(run(layer, x), reference(plain, to_numpy(ops.cast(x, layer.compute_dtype))), policy)


@pytest.mark.parametrize("chunk_size", [None, 2])
@pytest.mark.parametrize("mode", MODES)
def test_gradients(mode, chunk_size):
    layer = SampleMap(centered, mode=mode, chunk_size=chunk_size)
    x = series(3, 2, 2)
    layer(x)
    assert_gradients(lambda tensor: ops.sum(layer(tensor) ** 2), x)


@pytest.mark.parametrize("mode", MODES)
def test_compiled(mode):
    x = series()
    expected = reference(FUNCTIONS["centered"][1], x)
    assert_close(to_numpy(compiled(SampleMap(centered, mode=mode, chunk_size=2))(ops.convert_to_tensor(x))), expected)


SUITABLE = {
    "batched": [ops.square, lambda x: ops.softmax(x, axis=-1), lambda x: ops.sum(x, axis=-1)],
    "vectorized": [centered, masked_total, ops.flip, ops.cumsum, lambda x: ops.where(ops.sum(x) > 0, x, -x)],
}


@pytest.mark.parametrize(
    ("expected", "function"), [(expected, one) for expected, functions in SUITABLE.items() for one in functions]
)
def test_auto_takes_the_quickest_that_is_right(expected, function):
    layer = SampleMap(function)
    run(layer, series(5, 6, 4))
    assert chosen_modes(layer) == {expected}


def test_auto_falls_back_to_one_by_one_or_says_what_to_use():
    layer = SampleMap(lambda x: x if float(ops.sum(x)) > 0 else -x, name="branching")
    if keras.backend.backend() == "jax":
        with pytest.raises(
            ValueError, match=r"fails or gives different results in every mode; replace .* by ops\.cond or"
        ):
            layer(series())
        return
    x = series()
    assert_close(run(layer, x), np.stack([row if row.sum() > 0 else -row for row in x]))
    assert chosen_modes(layer) == {"map"}


def test_auto_asks_once_for_each_kind_of_input():
    calls = []

    def counted(x):
        calls.append(x)
        return x * 2

    layer = SampleMap(counted)
    run(layer, series())
    asked = len(calls)
    run(layer, series(5, 7))
    assert len(calls) == asked + 1, "one call for the whole batch"
    run(layer, series()[0])
    run(layer, np.arange(6).reshape(2, 3))
    assert len(layer._strategies) == 3


def test_samples_draw_randomness_of_their_own():
    layer = SampleMap(noise, seed=3)
    x = np.zeros((5, 40), "float32")
    first, second = run(layer, x, training=True), run(layer, x, training=True)
    rows = np.concatenate([first, second])
    assert len(np.unique(rows.round(4), axis=0)) == 10
    assert np.abs(np.corrcoef(rows) - np.eye(10)).max() < 0.6
    np.testing.assert_allclose(run(SampleMap(noise, seed=3), x, training=True), first)
    np.testing.assert_array_equal(run(layer, x, training=False), x)


def test_inference_leaves_the_seed_alone():
    layer = SampleMap(noise, seed=3)
    x = series()
    run(layer, x, training=True)
    before = to_numpy(layer.seed_generator.state.value)
    run(layer, x, training=False)
    np.testing.assert_array_equal(to_numpy(layer.seed_generator.state.value), before)


@pytest.mark.parametrize("mode", MODES)
def test_the_function_sees_its_samples_mask(mode):
    x, mask = series(), lengths_mask()
    expected = np.where(mask[..., None], x, 0).sum(1)
    assert_close(run(SampleMap(masked_total, mode=mode), x, mask=mask), expected)
    masked = keras.layers.Masking()(np.where(mask[..., None], x, 0))
    total = SampleMap(masked_total, mode=mode)(masked)
    assert_close(to_numpy(total), expected)
    assert getattr(total, "_keras_mask", None) is None, "the function has consumed it"


def test_trees_go_in_and_come_out():
    layer = SampleMap(lambda pair: {"sum": pair[0] + pair[1], "first": ops.max(pair[0])})
    outputs = layer((series(), series(seed=1)))
    assert_close(to_numpy(outputs["sum"]), series() + series(seed=1))
    assert_close(to_numpy(outputs["first"]), series().max((1, 2)))
    symbolic = layer((keras.Input((6, 5)), keras.Input((6, 5))))
    assert symbolic["sum"].shape == (None, 6, 5)
    assert symbolic["first"].shape == (None,)


def test_several_inputs_have_a_mask_each_or_none():
    def total(pair, mask=None):
        masks = mask or (True, True)
        return sum(masked_total(x, m if mask else None) for x, m in zip(pair, masks, strict=True))

    x, mask = series(), lengths_mask()
    layer = SampleMap(total)
    assert_close(run(layer, (x, x)), 2 * x.sum(1))
    assert_close(run(layer, (x, x), mask=(mask, mask)), 2 * np.where(mask[..., None], x, 0).sum(1))
    with pytest.raises(ValueError, match="some inputs have a mask and some have none; pass a mask for every input"):
        layer((x, x), mask=(mask, None))


def test_a_batched_function_need_not_work_on_samples():
    layer = SampleMap(lambda batch: ops.max(batch, axis=2), mode="batched")
    assert layer(keras.Input((6, 5))).shape == (None, 6)
    assert_close(run(layer, series()), series().max(2))


@pytest.mark.parametrize("mode", [*MODES, "batched"])
@pytest.mark.parametrize("chunk_size", [None, 2])
def test_an_empty_batch_keeps_its_shape(mode, chunk_size):
    layer = SampleMap(lambda x: ops.max(x, axis=-1), mode=mode, chunk_size=chunk_size)
    assert run(layer, series(0)).shape == (0, 6)


def test_fit_save_and_load(tmp_path):
    x = series(7)
    model = keras.Sequential([SampleMap(centered, chunk_size=3), SampleMap(noise, seed=1), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    model.fit(x, x[..., :1], batch_size=4, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded.predict(x, verbose=0), model.predict(x, verbose=0))
    loaded.fit(x, x[..., :1], batch_size=4, verbose=0)


def test_functions_of_keras_ops_are_saved_by_name():
    config = SampleMap(ops.square, output_spec=keras.KerasTensor((5,))).get_config()
    assert config["function"] == "square"
    again = SampleMap.from_config(config)
    assert again.function is ops.square
    assert again.output_spec.shape == (5,)


def test_a_declared_output_needs_no_trace():
    layer = SampleMap(lambda x: x[:2], mode="map", output_spec=keras.KerasTensor((2,)))
    assert layer(keras.Input((5,))).shape == (None, 2)
    assert run(layer, series()[0]).shape == (6, 2)


def unseeded(x):
    return x + keras.random.normal(ops.shape(x))


BAD = {
    "function must be callable or the name of a function in keras.ops .got 'sqare'.": lambda: SampleMap("sqare"),
    "is a layer, and a layer takes batches; call the layer directly": lambda: SampleMap(keras.layers.Dense(2)),
    "mode must be one of 'auto', 'batched', 'vectorized', 'map' .got 'fast'.": lambda: SampleMap("square", mode="fast"),
    "chunk_size must be a positive integer .got 0.": lambda: SampleMap("square", chunk_size=0),
    "gives different results for the same sample; give it an argument `seed`": lambda: SampleMap(unseeded)(series()),
    r"fails on a random sample of shape .6, 5. .*; correct the function, or pass a mode": lambda: SampleMap(
        lambda x: ops.reshape(x, (7,))
    )(series()),
    r"returned \[\(\(6, 5\), 'float32'\)\] for a sample, but output_spec is \[\(\(6,\), 'float32'\)\]": lambda: (
        SampleMap("square", output_spec=keras.KerasTensor((6,)))(series())
    ),
}


@pytest.mark.parametrize("message", BAD)
def test_bad_input_is_named(message):
    with pytest.raises(ValueError, match=message):
        BAD[message]()


def test_the_alias_squares():
    layer = BatchAwareSquare()
    assert isinstance(layer, SampleMap)
    assert_close(run(layer, series()), series() ** 2)
    assert BatchAwareSquare.from_config(layer.get_config()).function is ops.square
