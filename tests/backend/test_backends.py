"""The adapter of this process's backend does what `backends.protocol` says."""

import keras
import numpy as np
import pytest
from keras import ops

from layerwright import backends

backend = backends.current()


def test_name_is_that_of_keras():
    assert keras.backend.backend() == backend.NAME
    assert backend.NAME in backends.installed()


def test_is_native():
    assert backend.is_native(ops.ones((2,)))
    assert not backend.is_native(np.ones(2))
    assert not backend.is_native(keras.KerasTensor((2,)))


def test_keras_variables_wrap_native_variables():
    value = keras.Variable(np.ones(2)).value
    assert backend.is_native_variable(value) == (backend.NAME != "jax")
    assert not backend.is_native_variable(ops.ones((2,)))


def test_gradient():
    x, y = np.array([1.0, 2.0], "float32"), np.array([3.0, 4.0], "float32")
    by_x, by_y = backend.gradient(lambda a, b: ops.sum(a * a * b), [x, y])
    np.testing.assert_allclose(ops.convert_to_numpy(by_x), 2 * x * y)
    np.testing.assert_allclose(ops.convert_to_numpy(by_y), x * x)


def test_trace_shows_the_program():
    program = backend.trace(lambda x: ops.tanh(x) + 1.0, [np.ones((2, 3), "float32")])
    assert "tanh" in program.lower()


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")  # torch's compiler warns of itself
def test_jit_computes_the_same():
    x = ops.convert_to_tensor(np.ones((2, 3), "float32"))
    np.testing.assert_allclose(ops.convert_to_numpy(backend.jit(ops.tanh)(x)), np.tanh(np.ones((2, 3))), rtol=1e-6)


def test_trace_shows_the_values_of_constants():
    def program(first):
        table = np.arange(first, first + 3, dtype="float32")
        return backend.trace(lambda x: x + ops.convert_to_tensor(table), [np.ones(3, "float32")])

    assert program(0) == program(0)
    assert program(0) != program(1)


def test_compilers_begin_with_jit():
    assert next(iter(backend.compilers().values())) is backend.jit


def test_is_symbolic_tells_tensors_of_a_trace():
    kept = []

    def function(x):
        kept.append(x * 2)
        return x

    backend.trace(function, [np.ones(3, "float32")])
    assert all(backend.is_symbolic(tensor) for tensor in kept)
    assert not backend.is_symbolic(ops.ones(3))
    assert not backend.is_symbolic(keras.Variable(np.ones(3)).value)


def test_stepwise_loops_compute_the_same():
    def total():
        return ops.scan(lambda carry, x: (carry + x, carry), ops.zeros(()), ops.arange(4.0))[0]

    with backend.stepwise():
        assert float(total()) == 6.0


def test_free_axes_may_be_unknown():
    x = np.arange(6.0, dtype="float32").reshape(2, 3)
    result = backend.call_with_free_axes(lambda a: ops.sum(a, axis=1), [x], [(0,)])
    np.testing.assert_allclose(ops.convert_to_numpy(result), x.sum(axis=1))


def test_free_axes_refuse_a_function_that_needs_the_size():
    x = np.ones((4, 3), "float32")
    with pytest.raises(Exception):  # noqa: B017, PT011 - each backend has its own
        backend.call_with_free_axes(lambda a: a + ops.ones((int(a.shape[0]), 3)), [x], [(0,)])


def test_random_state_moves_when_the_global_generator_is_used():
    before = backend.random_state()
    assert before == backend.random_state()
    if backend.NAME == "torch":
        import torch

        torch.rand(1)
        assert backend.random_state() != before
    if backend.NAME == "tensorflow":
        import tensorflow as tf

        tf.random.set_seed(1)
        tf.random.uniform((1,))
        assert backend.random_state() != before


def test_eagerly_computes_while_something_is_traced():
    seen = []

    def traced(x):
        with backend.eagerly():
            seen.append(float(ops.convert_to_numpy(ops.sum(ops.ones((3,)) * 2))))
        return x * seen[-1]

    x = ops.ones((2,))
    np.testing.assert_allclose(ops.convert_to_numpy(backend.jit(traced)(x)), 6.0)
    assert set(seen) == {6.0}


def test_trace_state_tells_a_loop_from_what_is_around_it():
    states = []

    def body(x):
        states.append(backend.trace_state())
        return x * 2

    outside = backend.trace_state()
    assert outside == backend.trace_state()
    if backend.NAME == "torch":  # whose loops are Python's
        assert outside is None
        return
    backend.jit(lambda x: ops.map(body, x))(ops.ones((3, 2)))
    assert states[-1] != outside


def test_seeding_waits_until_tensorflow_draws(monkeypatch):
    if backend.NAME != "tensorflow":
        pytest.skip("only TensorFlow's seeding is costly")
    import tensorflow as tf
    from tensorflow.python.framework import random_seed

    monkeypatch.setattr(random_seed, "get_seed", random_seed.get_seed)  # to be restored at the end
    monkeypatch.setattr(tf.random, "set_seed", tf.random.set_seed)
    keras.utils.set_random_seed(7)
    eager, compiled = tf.random.uniform((3,)).numpy(), tf.function(lambda: tf.random.uniform((3,)))().numpy()

    backend.preload()
    for _ in range(2):
        keras.utils.set_random_seed(7)
        np.testing.assert_array_equal(tf.random.uniform((3,)).numpy(), eager)
        np.testing.assert_array_equal(tf.function(lambda: tf.random.uniform((3,)))().numpy(), compiled)


def test_the_first_draw_may_be_in_a_graph(monkeypatch):
    if backend.NAME != "tensorflow":
        pytest.skip("only TensorFlow's seeding is costly")
    import tensorflow as tf
    from tensorflow.python.framework import random_seed

    monkeypatch.setattr(random_seed, "get_seed", random_seed.get_seed)
    monkeypatch.setattr(tf.random, "set_seed", tf.random.set_seed)
    backend.preload()
    drawn = []
    for _ in range(2):
        keras.utils.set_random_seed(7)
        drawn.append(tf.function(lambda: tf.random.uniform((3,)))().numpy())
    np.testing.assert_array_equal(*drawn)
