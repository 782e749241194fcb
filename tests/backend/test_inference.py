"""Zero configuration: each ordinary way to write a layer is constructed and fed by trying."""

import keras
import numpy as np
import pytest
from keras import layers, ops

import layerwright as lw
from layerwright.cases.candidates import infer
from layerwright.cases.inferred import Inferred
from layerwright.core.case import Case, InputSpec
from layerwright.core.finding import Outcome
from layerwright.trial.trial import Trial


class Plain(layers.Layer):
    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.units = units

    def build(self, input_shape):
        self.kernel = self.add_weight(shape=(input_shape[-1], self.units))

    def call(self, inputs):
        return inputs @ self.kernel


class CrossAttention(layers.Layer):
    def __init__(self, d_model, num_heads, **kwargs):
        super().__init__(**kwargs)
        self.attention = layers.MultiHeadAttention(num_heads, d_model)

    def call(self, query, value):
        return self.attention(query, value)


class Ids(layers.Layer):
    def __init__(self, vocab_size, embed_dim, **kwargs):
        super().__init__(**kwargs)
        self.embedding = layers.Embedding(vocab_size, embed_dim)

    def call(self, tokens):
        return self.embedding(tokens)


class Image(layers.Layer):
    def __init__(self, filters, **kwargs):
        super().__init__(**kwargs)
        self.convolution = layers.Conv2D(filters, 3)

    def call(self, inputs):
        return self.convolution(inputs)


class Pair(layers.Layer):
    def call(self, inputs):
        left, right = inputs
        return left * right


class Keyed(layers.Layer):
    def call(self, inputs):
        return inputs["left"] + inputs["right"]


class Residual(layers.Layer):
    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.dense = layers.Dense(units)

    def call(self, inputs):
        return inputs + self.dense(inputs)


class MaskedMean(layers.Layer):
    def call(self, inputs, mask=None):
        weights = ops.expand_dims(ops.cast(mask, inputs.dtype), -1)
        return ops.sum(inputs * weights, axis=1) / ops.sum(weights, axis=1)


class WrongMask(layers.Layer):
    def call(self, inputs, mask=None):
        return inputs if mask is None else inputs * ops.cast(mask, inputs.dtype)


class Wrapper(layers.Layer):
    def __init__(self, layer, scale, **kwargs):
        super().__init__(**kwargs)
        self.layer = layer

    def call(self, inputs, training):
        return self.layer(inputs)


class HiddenArgument(layers.Dense):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)


class OddArgument(layers.Layer):
    def __init__(self, blob, **kwargs):
        super().__init__(**kwargs)
        if np.shape(blob) != (8, 4):
            raise ValueError("blob must be a table")

    def call(self, inputs):
        return inputs


class Codebook(layers.Layer):
    def __init__(self, codebook, **kwargs):
        super().__init__(**kwargs)
        self.codebook = codebook

    def call(self, indices):
        return ops.take(self.codebook, indices, axis=0)


class Initialised(layers.Layer):
    def __init__(self, activation, kernel_initializer, **kwargs):
        super().__init__(**kwargs)
        self.activation = keras.activations.get(activation)
        self.kernel_initializer = keras.initializers.get(kernel_initializer)

    def call(self, inputs):
        return self.activation(inputs)


TIME = InputSpec((None, 10, 5))
MASK = InputSpec((None, 10), "bool")


@pytest.mark.parametrize(
    ("layer", "inputs", "call"),
    [
        (Plain, TIME, {}),
        (CrossAttention, TIME, {"value": TIME}),
        (Ids, InputSpec((None, 10), "int32"), {}),
        (Image, InputSpec((None, 8, 9, 3)), {}),
        (Pair, [TIME, TIME], {}),
        (Keyed, {"left": TIME, "right": TIME}, {}),
        (Residual, InputSpec((None, 10, 16)), {}),
        (MaskedMean, TIME, {"mask": MASK}),
        (Wrapper, TIME, {"training": False}),
        (HiddenArgument, TIME, {}),
        (OddArgument, TIME, {}),
        (Codebook, InputSpec((None, 10), "int32"), {}),
        (Initialised, TIME, {}),
    ],
)
def test_case_is_inferred(layer, inputs, call):
    case = infer(Case(layer))
    assert (case.inputs, case.call) == (inputs, call)
    trial = Trial(case)
    assert trial.call(trial.construct(), trial.usual) is not None
    assert any("inferred input shape" in note for note in case.notes)
    assert "inputs" in case.inferred
    assert case.status == "inferred"
    assert Inferred.of(Case(layer), case).applied_to(Case(layer)).to_dict() == case.to_dict(), (
        "as data, for other backends"
    )


def test_optional_mask_is_given_even_to_a_layer_that_refuses_it():
    """Keras hands such a mask over whenever a layer upstream makes one, so the layer has to stand it."""
    case = infer(Case(WrongMask))
    assert case.call == {"mask": MASK}


def test_given_arguments_are_kept():
    case = infer(Case(Plain, init={"units": 7}))
    assert case.init == {"units": 7}
    assert not any("constructor argument" in note for note in case.notes)


def test_given_inputs_are_kept():
    case = infer(Case(Plain, inputs=(None, 3)))
    assert case.inputs == InputSpec((None, 3))
    assert case.init == {"units": 16}, "by convention: how a test constructs it says nothing"


class Unconstructible(layers.Layer):
    def __init__(self):
        raise RuntimeError("not today")


class Uncallable(layers.Layer):
    def call(self, inputs):
        raise RuntimeError("not today")


class NeedsAHashedSize(layers.Layer):
    def call(self, inputs):
        if sum(inputs.shape[1:]) ** 2 % 1009 != 3:
            raise ValueError("needs another number of entries")
        return inputs


class NeedsASet(layers.Layer):
    def __init__(self, spline):
        super().__init__()
        if not isinstance(spline, set):
            raise TypeError(f"spline must be a set (got {spline!r})")

    def call(self, inputs):
        return inputs


def test_layer_that_cannot_be_constructed_comes_back_for_lw101():
    assert infer(Case(Unconstructible)).inputs is not None


def test_layer_that_cannot_be_called_says_which_flag_to_give():
    case = infer(Case(Uncallable))
    assert case.inputs == TIME
    assert case.status == "inferred", "the same error whatever the inputs: no other inputs would help"
    assert any("give one with --input" in note for note in case.notes)


@pytest.mark.parametrize(
    ("layer", "code", "said"), [(NeedsAHashedSize, "LW102", "number of entries"), (NeedsASet, "LW101", "a set")]
)
def test_what_could_not_be_determined_is_not_a_failure(layer, code, said):
    assert infer(Case(layer)).status == "undetermined"
    report = lw.check(layer)
    assert report.ok
    assert report.undetermined == 1
    findings = {finding.code: finding for finding in report.findings}
    assert findings[code].outcome is Outcome.INCONCLUSIVE
    assert said in findings[code].message
    assert "@layerwright.case" in findings[code].fix
    assert findings["LW301"].outcome is findings["LW901"].outcome is Outcome.BLOCKED


def test_a_declared_case_that_cannot_be_called_is_a_failure():
    report = lw.check(NeedsAHashedSize, inputs=(None, 5), select=["LW102"])
    assert [finding.outcome for finding in report.findings] == [Outcome.FAILED]
