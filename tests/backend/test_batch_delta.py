"""`BatchDelta`: against its NumPy reference, eagerly, compiled and inside `fit`."""

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from keras import ops

from layer_tools import FEW, TOLERANCES, assert_close, gradients, lengths_mask, run, series
from layerwright.layers import BatchChangeTracker, BatchDelta
from layerwright.layers.batch_delta import reference


@FEW
@given(data=st.data())
def test_is_its_reference(data):
    policy = data.draw(st.sampled_from(sorted(TOLERANCES)), label="policy")
    options = {
        "reduce": data.draw(st.sampled_from([None, "mean"]), label="reduce"),
        "first": data.draw(st.sampled_from(["zeros", "input"]), label="first"),
    }
    rows = data.draw(st.lists(st.integers(0, 4), min_size=2, max_size=5), label="rows")
    batches = [series(count, 3, 2, seed=number) for number, count in enumerate(rows)]
    layer = BatchDelta(4, dtype=policy, **options)

    for batch, expected in zip(batches, reference(batches, **options), strict=True):
        assert_close(run(layer, batch, training=True), expected, policy)


@pytest.mark.filterwarnings("ignore:The model does not have any trainable weights")
@pytest.mark.parametrize("reduce", [None, "mean"])
def test_exact_inside_fit(reduce):
    """The output of each step of fit, its last batch smaller, collected by a loss that sums it."""
    x = series(10, 3, 2)
    inputs = keras.Input((3, 2))
    model = keras.Model(inputs, BatchDelta(4, reduce=reduce, first="input")(inputs))
    model.compile("sgd", loss=lambda _, outputs: ops.sum(ops.abs(outputs)))
    seen = []
    note = keras.callbacks.LambdaCallback(on_train_batch_end=lambda _, logs: seen.append(logs["loss"]))
    model.fit(x, np.zeros((10, 1)), batch_size=4, shuffle=False, verbose=0, callbacks=[note])

    steps = reference([x[:4], x[4:8], x[8:]], reduce=reduce, first="input")
    sums = [np.abs(step).sum() for step in steps]
    mean = [sum(np.multiply(sums[: n + 1], [4, 4, 2][: n + 1])) / sum([4, 4, 2][: n + 1]) for n in range(3)]
    np.testing.assert_allclose(seen, mean, 1e-4)


def test_inference_compares_and_keeps():
    layer = BatchDelta(2)
    run(layer, np.array([[1.0], [5.0]]), training=True)
    for _ in range(2):
        np.testing.assert_allclose(run(layer, np.array([[4.0], [4.0]]), training=False), [[3.0], [-1.0]])
    following = BatchDelta(2, update_in_inference=True, first="input")
    run(following, np.array([[1.0], [5.0]]), training=False)
    np.testing.assert_allclose(run(following, np.array([[4.0]]), training=False), [[3.0]])


def test_no_gradient_flows_into_the_state():
    layer = BatchDelta(3)
    run(layer, series(), training=True)
    (gradient,) = gradients(lambda x: ops.sum(layer(x, training=False)), series(seed=1))
    np.testing.assert_array_equal(gradient, np.ones((3, 6, 5)))


def test_padding_stays_out_of_the_state():
    mask = lengths_mask()
    layer = BatchDelta(3, first="input")
    dirty = np.where(mask[..., None], series(), np.nan).astype("float32")
    assert np.isfinite(run(layer, dirty, mask=mask, training=True)).all()
    assert np.isfinite(run(layer, series(seed=1), training=True)).all()


def test_the_state_is_saved(tmp_path):
    model = keras.Sequential([keras.Input((2,), batch_size=2), BatchDelta()])
    run(model, np.array([[1.0, 2.0], [3.0, 4.0]]), training=True)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(run(loaded, np.full((2, 2), 5.0)), [[4, 3], [2, 1]])


BAD = {
    "all sizes of the inputs must be known .got shape": lambda: BatchDelta()(keras.Input((3,))),
    "the batch has 3 rows, but batch_size=2; pass the size of the largest batch": lambda: BatchDelta(2)(series()),
    "batch_size must be a positive integer .got 0.": lambda: BatchDelta(0),
    "reduce must be one of None, 'mean' .got 'sum'.": lambda: BatchDelta(reduce="sum"),
    "first must be one of 'zeros', 'input' .got 'nan'.": lambda: BatchDelta(first="nan"),
}


@pytest.mark.parametrize("message", BAD)
def test_bad_input_is_named(message):
    with pytest.raises(ValueError, match=message):
        BAD[message]()


def test_the_alias_is_the_same_class():
    assert BatchChangeTracker is BatchDelta
