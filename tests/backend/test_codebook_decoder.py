"""`CodebookDecoder`: against its NumPy reference, and where indices go wrong elsewhere."""

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from keras import ops

from layer_tools import FEW, TOLERANCES, assert_close, compiled, run, weights_of
from layerwright.layers import CodebookDecoder, CustomDecoder
from layerwright.layers.codebook_decoder import reference


def codebook(*shape):
    return np.random.default_rng(0).standard_normal(shape).astype("float32")


@FEW
@given(data=st.data())
def test_is_its_reference(data):
    policy = data.draw(st.sampled_from(sorted(TOLERANCES)), label="policy")
    quantizers = data.draw(st.integers(1, 3), label="num_quantizers")
    options = {
        "num_quantizers": quantizers,
        "combine": data.draw(st.sampled_from(["sum", "concat", None]), label="combine"),
        "invalid_index": data.draw(st.sampled_from([-1, 0, None]), label="invalid_index"),
        "out_of_range": data.draw(st.sampled_from(["clip", "zero"]), label="out_of_range"),
    }
    codes = codebook(*(() if quantizers == 1 else (quantizers,)), 7, 3)
    leading = data.draw(st.sampled_from([(4,), (0, 5), (2, 5), (2, 3, 2)]), label="shape")
    shape = leading if quantizers == 1 else (*leading, quantizers)
    indices = np.random.default_rng(1).integers(-3, 10, shape).astype(data.draw(st.sampled_from(["int32", "int8"])))

    layer = CodebookDecoder(codes, dtype=policy, **options)
    outputs = run(layer, indices)

    assert outputs.shape == layer.compute_output_shape(indices.shape)
    assert_close(outputs, reference(indices, [codes], **options), policy)


@pytest.mark.parametrize("index", [-2, 7, 1000])
def test_out_of_range_is_refused_where_values_can_be_seen(index):
    layer = CodebookDecoder(codebook(7, 3))
    with pytest.raises(
        ValueError,
        match=rf"index {index} is out of range for 7 codes \(2 of \d+ indices are out of range\); pass indices from 0 to 6",
    ):
        layer(np.array([[0, index, index]]))


@pytest.mark.parametrize("out_of_range", ["error", "clip", "zero"])
def test_out_of_range_when_compiled(out_of_range):
    codes = codebook(7, 3)
    layer = CodebookDecoder(codes, out_of_range=out_of_range)
    layer.build((None, None))
    indices = ops.convert_to_tensor(np.array([[0, 7, -2, -1]]))
    if out_of_range == "error" and keras.config.backend() == "torch":  # which leaves the graph to look at the values
        with pytest.raises(ValueError, match="out of range for 7 codes"):
            run(compiled(lambda indices: layer(indices)), indices)
        return
    outputs = run(compiled(lambda indices: layer(indices)), indices)
    expected = np.zeros((1, 4, 3))
    expected[0, 0] = codes[0]
    if out_of_range == "error":
        expected[0, 1:3] = np.nan
    elif out_of_range == "clip":
        expected[0, 1:3] = codes[6], codes[0]
    np.testing.assert_allclose(outputs, expected, 1e-6)


def test_floats_are_refused():
    layer = CodebookDecoder(codebook(7, 3), dtype="mixed_float16")
    with pytest.raises(
        ValueError, match=r"indices must have an integer dtype \(got float.*; cast them to int32.*rounds 4097 to 4096"
    ):
        layer(np.array([[1.0, 2.0]]))


def test_large_indices_survive_half_precision():
    codes = np.arange(5000, dtype="float32")[:, None] / 5000
    layer = CodebookDecoder(codes, dtype="mixed_float16")
    near = run(layer, np.array([[2048, 2049, 4096, 4097]]))[0, :, 0]
    np.testing.assert_allclose(near, codes[[2048, 2049, 4096, 4097], 0], 1e-3)
    assert layer.codebook.shape == (5000, 1)


def test_no_code_gives_zeros_and_a_mask():
    layer = CodebookDecoder(codebook(7, 3))
    inputs = keras.Input((4,), dtype="int32")
    model = keras.Model(inputs, keras.layers.GlobalAveragePooling1D()(layer(inputs)))
    padded, short = np.array([[1, 2, -1, -1]]), np.array([[1, 2]])
    expected = run(layer, short).mean(1)
    assert_close(run(model, padded), expected)


def test_a_position_counts_if_one_quantizer_has_a_code():
    layer = CodebookDecoder(codebook(2, 7, 3), num_quantizers=2)
    mask = layer.compute_mask(ops.convert_to_tensor(np.array([[[1, 2], [1, -1], [-1, -1]]])))
    np.testing.assert_array_equal(ops.convert_to_numpy(mask), [[True, True, False]])


def test_the_codebook_is_a_weight_and_not_config(tmp_path):
    codes, indices = codebook(7, 3), np.array([[0, 6, -1]])
    model = keras.Sequential([keras.Input((3,), dtype="int32"), CodebookDecoder(codes)])
    assert "codebook" not in model.layers[0].get_config()
    assert not model.layers[0].trainable_weights
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(weights_of(loaded)[0], codes)
    np.testing.assert_array_equal(run(loaded, indices), run(model, indices))


def test_a_trainable_codebook_learns_only_what_it_was_asked():
    layer = CodebookDecoder(codebook(7, 3), trainable=True)
    model = keras.Sequential([keras.Input((2,), dtype="int32"), layer])
    model.compile(keras.optimizers.SGD(0.5), "mse")
    before = weights_of(model)[0].copy()
    model.fit(np.array([[1, 2]]), np.ones((1, 2, 3)), verbose=0)
    moved = (weights_of(model)[0] != before).any(axis=1)
    np.testing.assert_array_equal(moved, [False, True, True, False, False, False, False])


BAD_ARGUMENTS = {
    "pass a codebook, or both num_codes and code_dim": lambda: CodebookDecoder(),
    r"codebook has shape \(7, 3\), expected \(num_codes, code_dim\) with num_codes=8": lambda: CodebookDecoder(
        codebook(7, 3), num_codes=8
    ),
    "combine must be one of None, 'sum', 'concat' .got 'max'.": lambda: CodebookDecoder(codebook(7, 3), combine="max"),
    "out_of_range must be one of 'error', 'clip', 'zero'": lambda: CodebookDecoder(codebook(7, 3), out_of_range="wrap"),
    "invalid_index must be an integer or None": lambda: CodebookDecoder(codebook(7, 3), invalid_index=0.5),
    "last axis of the indices must have size num_quantizers=2": lambda: CodebookDecoder(
        codebook(2, 7, 3), num_quantizers=2
    )(np.zeros((1, 3), "int32")),
}


@pytest.mark.parametrize("message", BAD_ARGUMENTS)
def test_bad_arguments_are_named(message):
    with pytest.raises(ValueError, match=message):
        BAD_ARGUMENTS[message]()


def test_the_alias_is_the_same_class():
    assert CustomDecoder is CodebookDecoder
