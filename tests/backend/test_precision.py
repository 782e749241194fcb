"""Sound layers that were once accused, each beside a layer that the same check must still find."""

import keras
import numpy as np
import pytest
from keras import ops

import layerwright as lw
from layerwright import backends
from layerwright.core.finding import Outcome

FAR_FROM_ZERO = lw.InputSpec((None, None, 8), "float32", 69_000.0, 71_000.0)


def finding(kind, code, **options):
    """Return the only finding of a check."""
    report = lw.check(kind, select=[code], **options)
    return next(each for each in report.findings if each.code == code)


def outcomes(kind, code, **options):
    """Return the outcomes of all findings of a check."""
    return {each.outcome for each in lw.check(kind, select=[code], **options).findings if each.code == code}


def test_compiled_may_differ_by_what_rounding_the_inputs_changes():
    passes = outcomes(keras.layers.GroupNormalization, "LW801", init={"groups": 2}, inputs=FAR_FROM_ZERO)
    assert passes == {Outcome.PASSED}


def test_compiled_must_not_differ_by_more_even_there():
    class OtherWhenTraced(keras.layers.GroupNormalization):
        def call(self, inputs):
            return super().call(inputs) * (1.05 if backends.current().is_symbolic(inputs) else 1.0)

    assert Outcome.FAILED in outcomes(OtherWhenTraced, "LW801", init={"groups": 2}, inputs=FAR_FROM_ZERO)


def test_nan_in_the_padding_has_a_check_of_its_own():
    options = {"init": {"units": 3}, "inputs": (None, 6, 5)}
    assert outcomes(keras.layers.LSTM, "LW401", **options) == {Outcome.PASSED}
    assert outcomes(keras.layers.LSTM, "LW410", **options) == {Outcome.WARNED}


class Halves(keras.layers.Layer):
    """Refuses an odd number of steps, in so many words or by an error of a reshape."""

    def __init__(self, says_so, **kwargs):
        super().__init__(**kwargs)
        self.says_so = says_so

    def call(self, inputs):
        batch, steps, features = ops.shape(inputs)
        if self.says_so and isinstance(steps, int) and steps % 2:
            raise ValueError(f"Halves needs an even number of steps, not {steps}.")
        return ops.reshape(inputs, (batch, 2, steps // 2, features))


def test_a_layer_may_refuse_sizes_in_its_own_words():
    assert outcomes(Halves, "LW204", init={"says_so": True}, inputs=(None, None, 5)) == {Outcome.PASSED}
    assert outcomes(Halves, "LW204", init={"says_so": False}, inputs=(None, None, 5)) == {Outcome.FAILED}


def test_a_build_that_refuses_a_rank_is_enough():
    class Rows(keras.layers.Layer):
        def build(self, input_shape):
            _, self.height, self.width = input_shape

        def call(self, inputs):
            return ops.reshape(inputs, (-1, self.height * self.width))

    class AnyRank(keras.layers.Layer):
        def call(self, inputs):
            return ops.reshape(inputs, (-1, inputs.shape[-2] * inputs.shape[-1]))

    assert outcomes(Rows, "LW206", inputs=(None, 4, 5)) == {Outcome.PASSED}
    assert outcomes(AnyRank, "LW206", inputs=(None, 4, 5)) == {Outcome.FAILED}
    assert "min_rank" in finding(AnyRank, "LW206", inputs=(None, 4, 5)).fix


class CopiesItsTable(keras.layers.Layer):
    def __init__(self, copies=True, **kwargs):
        super().__init__(**kwargs)
        self.copies = copies

    def build(self, input_shape):
        self.bias = self.add_weight(shape=(5,), initializer="random_normal", name="bias")
        if self.copies:
            self.table = ops.take(self.bias, [4, 3, 2, 1, 0])

    def call(self, inputs):
        return inputs + (self.table if self.copies else ops.take(self.bias, [4, 3, 2, 1, 0]))


@pytest.mark.parametrize("code", ["LW703", "LW707"])
def test_a_copy_of_a_weight_is_named(code):
    assert finding(CopiesItsTable, code, inputs=(None, 5)).fix.startswith("`self.table` holds a copy of the value that")
    assert outcomes(CopiesItsTable, code, init={"copies": False}, inputs=(None, 5)) == {Outcome.PASSED}


class Counts(keras.layers.Layer):
    def build(self, input_shape):
        self.calls = self.add_weight(shape=(), initializer="zeros", trainable=False, name="calls")

    def call(self, inputs):
        self.calls.assign(self.calls + 1.0)
        return inputs * 2.0


class AlwaysNoisy(keras.layers.Layer):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.seeds = keras.random.SeedGenerator(1)

    def call(self, inputs):
        return inputs + keras.random.normal(ops.shape(inputs), seed=self.seeds)


@pytest.mark.parametrize(
    ("kind", "advice"), [(Counts, "Assign the weight only"), (AlwaysNoisy, "If the random numbers")]
)
def test_advice_on_inference_that_changes_state_follows_the_cause(kind, advice):
    fix = finding(kind, "LW901", inputs=(None, 5)).fix
    assert fix.startswith(advice)
    assert "`if training:`" in fix


def test_advice_on_an_exception_follows_what_was_being_done():
    class ReadsValues(keras.layers.Layer):
        def call(self, inputs):
            return inputs * float(ops.convert_to_numpy(inputs)[0, 0])

        def compute_output_shape(self, input_shape):
            return input_shape

    assert finding(ReadsValues, "LW801", inputs=(None, 5)).fix.startswith("Compute only with `keras.ops`")


def test_a_config_that_is_no_dict_is_called_that():
    class ListConfig(keras.layers.Layer):
        def get_config(self):
            return [1]

        def call(self, inputs):
            return inputs * 2.0

    assert finding(ListConfig, "LW701", inputs=(None, 5)).message == "get_config() returned a list; expected a dict"


def test_nan_at_large_inputs_is_an_overflow_only_if_values_are_too_large():
    class Saturates(keras.layers.Layer):
        def call(self, inputs):
            power = ops.power(inputs, 12)
            return power / (1.0 + power)

    class Power(keras.layers.Layer):
        def call(self, inputs):
            return ops.power(inputs, 12)

    assert outcomes(Saturates, "LW503", inputs=(None, 5)) == {Outcome.FAILED}
    assert outcomes(Power, "LW503", inputs=(None, 5)) == {Outcome.PASSED}


@pytest.mark.skipif(keras.backend.backend() == "tensorflow", reason="TensorFlow's functions work there")
def test_a_tensorflow_function_on_another_backend_is_named():
    import tensorflow as tf

    class CallsTensorFlow(keras.layers.Layer):
        def call(self, inputs):
            return tf.nn.relu(ops.convert_to_numpy(inputs))

    CallsTensorFlow.call.__globals__["tf"] = tf
    assert "`tf.nn.relu`" in finding(CallsTensorFlow, "LW102", inputs=(None, 5)).fix


class Rounds(keras.layers.Layer):
    def call(self, inputs):
        return inputs + ops.stop_gradient(ops.round(4.0 * inputs) / 4.0 - inputs)


class BlocksGradient(keras.layers.Layer):
    def call(self, inputs):
        return inputs * ops.stop_gradient(inputs)


def test_a_straight_through_estimator_is_a_note():
    found = finding(Rounds, "LW502", inputs=(None, 5))
    assert found.outcome is Outcome.NOTE
    assert "smooth=False" in found.fix
    assert outcomes(BlocksGradient, "LW502", inputs=(None, 5)) == {Outcome.FAILED}


class OwnNormalization(keras.layers.Layer):
    def __init__(self, shifts=False, **kwargs):
        super().__init__(**kwargs)
        self.shifts = shifts

    def build(self, input_shape):
        self.middle = self.add_weight(shape=(input_shape[-1],), initializer="zeros", trainable=False, name="middle")

    def call(self, inputs, training=False):
        if not training:
            return inputs - self.middle
        mean = ops.mean(inputs, axis=0)
        self.middle.assign(0.9 * self.middle + 0.1 * mean)
        return inputs - mean + (ops.roll(inputs, 1, axis=0) if self.shifts else 0.0)


def test_batch_normalization_by_another_name_is_a_note():
    found = finding(OwnNormalization, "LW302", inputs=(None, 5))
    assert found.outcome is Outcome.NOTE
    assert 'batch="coupled-in-training"' in found.fix
    assert outcomes(OwnNormalization, "LW302", init={"shifts": True}, inputs=(None, 5)) == {Outcome.FAILED}


class Positions(keras.layers.Layer):
    def __init__(self, rank=2, **kwargs):
        super().__init__(**kwargs)
        self.rank = rank

    def call(self, inputs):
        steps, size = inputs.shape[-2:] if isinstance(inputs.shape[-2], int) else ops.shape(inputs)[-2:]
        table = ops.cos(ops.arange(steps, dtype="float32")[:, None] * ops.ones((1, size)))
        return table if self.rank == 2 else table[None]


@pytest.mark.parametrize("rank", [2, 3])
def test_a_table_of_positions_is_a_note(rank):
    report = lw.check(Positions, init={"rank": rank}, inputs=(None, None, 5), select=["LW3", "LW206", "LW204"])
    assert not [each for each in report.findings if each.outcome in (Outcome.FAILED, Outcome.WARNED, Outcome.ERRORED)]
    assert {each.code for each in report.findings if each.outcome is Outcome.NOTE} == {"LW305", "LW308"}


class DrawsByHand(keras.layers.Layer):
    def __init__(self, reads=True, **kwargs):
        super().__init__(**kwargs)
        self.reads = reads

    def call(self, inputs, training=False):
        if not training:
            return inputs
        if self.reads and float(ops.convert_to_numpy(inputs)[0, 0]) > 1e9:
            return inputs
        return inputs + np.random.normal()


def test_a_foreign_draw_does_not_hide_that_a_layer_cannot_be_compiled():
    assert Outcome.FAILED in outcomes(DrawsByHand, "LW801", inputs=(None, 5))
    assert Outcome.FAILED not in outcomes(DrawsByHand, "LW801", init={"reads": False}, inputs=(None, 5))


class SometimesFlips(keras.layers.Layer):
    """Draws in a tenth of its calls, from a generator of its own."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.generator = np.random.default_rng(np.random.randint(1000))

    def call(self, inputs, training=False):
        return -inputs if training and self.generator.random() < 0.1 else inputs


@pytest.mark.parametrize("seed", range(6))
def test_a_layer_that_draws_sometimes_is_not_said_to_lose_its_config(seed):
    case = lw.Case(SometimesFlips, inputs=(None, 5))
    for code in ("LW703", "LW707"):
        assert Outcome.FAILED not in {each.outcome for each in lw.check(case, select=[code], seed=seed).findings}


def test_one_error_is_reported_by_one_check():
    class FixedBatch(keras.layers.Layer):
        def build(self, input_shape):
            self.samples = input_shape[0]

        def call(self, inputs):
            if inputs.shape[0] is not None and self.samples is not None and inputs.shape[0] != self.samples:
                raise RuntimeError(f"built for {self.samples} samples, not {inputs.shape[0]}")
            return inputs * 2.0

    found = {each.code: each for each in lw.check(FixedBatch, inputs=(None, 5), select=["LW204", "LW205"]).findings}
    assert found["LW204"].outcome is Outcome.FAILED
    assert found["LW205"].outcome is Outcome.BLOCKED
