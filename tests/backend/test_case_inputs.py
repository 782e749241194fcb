"""What a case may give a layer: None beside tensors, shapes in call arguments, strings, free axes of a minimum size."""

import keras
import numpy as np
import pytest
from keras import ops

import layerwright as lw
from layerwright.core.finding import Outcome
from layerwright.trial.trial import Trial


class PairWithMask(keras.layers.Layer):
    """Adds two tensors, the second masked."""

    supports_masking = True

    def call(self, inputs, mask=None):
        first, second = inputs
        if mask is not None and mask[1] is not None:
            second = ops.where(mask[1][..., None], second, 0.0)
        return first + second

    def compute_mask(self, inputs, mask=None):
        return None


class TakesMaybe(keras.layers.Layer):
    def call(self, inputs):
        first, second = inputs
        return first if second is None else first + second


class Stateful(keras.layers.Layer):
    def call(self, inputs, states):
        return ops.tanh(inputs + states[0])


class AtLeastEight(keras.layers.Layer):
    def call(self, inputs):
        if isinstance(inputs.shape[1], int) and inputs.shape[1] < 8:
            raise ValueError("needs eight steps")
        return inputs * 2.0


def bad(report):
    return {
        finding.code: finding.message
        for finding in report.findings
        if finding.outcome in (Outcome.FAILED, Outcome.WARNED, Outcome.ERRORED)
    }


def test_none_beside_a_spec_is_passed_on():
    case = lw.Case(
        PairWithMask,
        inputs=[(None, 5, 4), (None, 5, 4)],
        call={"mask": [None, lw.InputSpec((None, 5), "bool")]},
        traits={"masking": "consumed"},
    )
    assert Trial(case).usual.call["mask"][0] is None
    assert bad(lw.check(case)) == {}


def test_none_among_the_inputs_is_passed_on():
    assert bad(lw.check(lw.Case(TakesMaybe, inputs=[(None, 5), None]), select=["LW1", "LW3", "LW5", "LW7"])) == {}


def test_shapes_in_call_arguments_become_tensors():
    case = lw.Case(Stateful, inputs=(None, 4), call={"states": [(None, 4)], "training": False})
    assert case.call["states"] == [lw.InputSpec((None, 4))]
    assert case.call["training"] is False
    assert bad(lw.check(case, select=["LW1", "LW3"])) == {}
    assert lw.Case(dict, call={"mask": (None, 5)}).call["mask"] == lw.InputSpec((None, 5), "bool")
    assert lw.Case(dict, call={"size": (4, 4), "axes": (None, None)}).call == {"size": (4, 4), "axes": (None, None)}


def test_free_axes_have_at_least_the_minimum_size():
    case = lw.Case(AtLeastEight, inputs=(None, None, 5), traits={"minimum": 8, "masking": "consumed"})
    assert Trial(case).usual.inputs.shape[1] >= 8
    assert bad(lw.check(case)) == {}


def test_strings_are_declared():
    case = lw.Case(
        keras.layers.StringLookup,
        init={"vocabulary": ["a", "b"]},
        inputs=lw.InputSpec((None, 3), "string", values=["a", "b", "c"]),
    )
    drawn = Trial(case).usual.inputs
    assert drawn.dtype.kind == "U"
    assert set(np.unique(drawn)) <= {"a", "b", "c"}
    report = lw.check(case, ignore=["LW704"])  # Keras's own: the config holds the layer's list of words itself
    assert bad(report) == {}
    assert Outcome.PASSED in {finding.outcome for finding in report.findings if finding.code == "LW301"}


@pytest.mark.parametrize("minimum", [1, 5, 8, 30])
def test_free_axes_all_differ(minimum):
    shape = lw.InputSpec((None, None, None, None)).concrete(2, minimum=minimum)
    assert len({*shape[1:]}) == 3
    assert min(shape[1:]) >= minimum
