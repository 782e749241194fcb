"""Sound layers that were once accused, each beside a layer that the same check must still find."""

import keras
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
    assert outcomes(keras.layers.LSTM, "LW410", **options) == {Outcome.FAILED}


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
