"""`Watch.attached`, and the simple `BatchChangeCallback`."""

import doctest

import keras
import numpy as np
import pytest
from keras import ops

from layerwright import BatchChangeCallback, Watch, backends
from layerwright.watch import batch_change, callback, probe
from layerwright.watch.history import History
from layerwright.watch.records import Kind, TensorRecord

BACKEND = keras.backend.backend()
RNG = np.random.default_rng(0)


def model():
    keras.utils.set_random_seed(1)
    built = keras.Sequential(
        [keras.Input((3,)), keras.layers.Dense(4, activation="relu", name="hidden"), keras.layers.Dense(2, name="out")]
    )
    built.compile(keras.optimizers.SGD(0.1), "mse")
    return built


def hidden(built, x):
    kernel, bias, *_ = built.get_weights()
    return np.maximum(x @ kernel + bias, 0)


@pytest.mark.parametrize("how", ["eager", "compiled"])
def test_calls_are_watched(how):
    built, x = model(), RNG.standard_normal((5, 3)).astype("float32")
    watch = Watch("hidden")
    with watch.attached(built):
        function = backends.current().jit(lambda x: built(x)) if how == "compiled" and BACKEND != "torch" else built
        outputs = [function(x) for _ in range(2)]
        ops.convert_to_numpy(outputs[-1])
        if BACKEND == "jax":
            import jax

            jax.effects_barrier()
    assert "call" not in vars(built)
    (record,) = watch.history.tensors  # every 50th call
    assert (record.step, record.tensor) == (0, "hidden")
    np.testing.assert_allclose(record.values["norm"], np.linalg.norm(hidden(built, x)), 1e-5)
    built(x)
    assert len(watch.history.tensors) == 1


def test_predict_is_watched_and_is_as_before_afterwards():
    built, x = model(), RNG.standard_normal((8, 3)).astype("float32")
    expected = built.predict(x, batch_size=4, verbose=0)
    compiled = built.predict_function
    watch = Watch(every=1)
    with watch.attached(built):
        np.testing.assert_allclose(built.predict(x, batch_size=4, verbose=0), expected, 1e-5)
        if BACKEND == "jax":
            import jax

            jax.effects_barrier()
    assert built.predict_function is compiled
    norms = [record.values["norm"] for record in watch.history.tensors if record.tensor == "hidden"]
    np.testing.assert_allclose(norms, [np.linalg.norm(hidden(built, part)) for part in (x[:4], x[4:])], 1e-5)


def test_a_loop_of_ones_own_is_watched():
    built, x, y = model(), RNG.standard_normal((6, 3)).astype("float32"), np.ones((6, 2), "float32")
    watch = Watch("out", every=2)
    with watch.attached(built):
        for _ in range(4):
            built.train_on_batch(x, y)
        if BACKEND == "jax":
            import jax

            jax.effects_barrier()
    assert [record.step for record in watch.history.tensors] == [0, 2]


def test_an_exception_leaves_nothing():
    built = model()
    with pytest.raises(ValueError, match="mine"), Watch().attached(built):
        raise ValueError("mine")
    assert "call" not in vars(built)


@pytest.mark.parametrize("rate", [0.0, 0.1])
def test_batch_change(rate):
    keras.utils.set_random_seed(1)
    built = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    built.compile(keras.optimizers.SGD(rate), "mse")
    x, y = RNG.standard_normal((12, 3)).astype("float32"), np.ones((12, 2), "float32")
    change = BatchChangeCallback(x[:5])
    before = built.get_weights()
    for _ in range(2):
        built.fit(x, y, batch_size=12, shuffle=False, verbose=0, callbacks=[change])
        if len(change.changes) == 0:
            after = built.get_weights()
    (found,) = change.changes
    moved = abs((x[:5] @ after[0] + after[1]) - (x[:5] @ before[0] + before[1]))
    assert found.step == 1
    np.testing.assert_allclose([found.mean, found.largest], [moved.mean(), moved.max()], 1e-3)
    assert (found.largest > 0) == (rate > 0)


def test_batch_change_needs_a_positive_integer():
    with pytest.raises(ValueError, match=r"BatchChangeCallback: every must be a positive integer \(got 0\)"):
        BatchChangeCallback(np.ones((2, 3)), every=0)


@pytest.mark.parametrize("module", [batch_change, callback, probe])
def test_examples_in_docstrings_run(module):
    assert doctest.testmod(module).failed == 0


def test_memory_is_bounded():
    history = History(most=100)
    for step in range(500):
        history.write([TensorRecord(step, "dense", Kind.WEIGHT, {"n": 1.0})])
    assert 100 <= len(history.tensors) <= 110
    assert history.tensors[-1].step == 499
    assert list(history.to_pandas().columns) == ["step", "tensor", "kind", "n"]
