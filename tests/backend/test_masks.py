"""Padding that counts is found without being told of lengths, and layers that keep it out are left alone."""

import pytest
from keras import layers, ops

import layerwright as lw
from layerwright.core.finding import BAD_OUTCOMES, Outcome


def zeroed(inputs, mask):
    return inputs if mask is None else ops.where(ops.expand_dims(mask, -1), inputs, 0.0)


class Masked(layers.Layer):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.supports_masking = True

    def compute_mask(self, inputs, mask=None):
        return None


class MeanOverAllSteps(Masked):
    def call(self, inputs, mask=None):
        return ops.mean(zeroed(inputs, mask), axis=1)


class DividesByStaticLength(Masked):
    def call(self, inputs, mask=None):
        return ops.sum(zeroed(ops.cast(inputs, "float32"), mask), axis=1) / inputs.shape[1]


class MaxOverZeros(Masked):
    def call(self, inputs, mask=None):
        return ops.max(zeroed(inputs, mask), axis=1)


class MeanOfTokens(Masked):
    def __init__(self, vocab_size, **kwargs):
        super().__init__(**kwargs)
        self.embedding = layers.Embedding(vocab_size, 3)

    def call(self, token_ids, padding_mask=None):
        return ops.mean(zeroed(self.embedding(token_ids), padding_mask), axis=1)


class MeanOfTwo(Masked):
    def call(self, inputs, mask=None):
        masks = (None, None) if mask is None else mask
        left, right = (ops.mean(zeroed(each, own), axis=1) for each, own in zip(inputs, masks, strict=True))
        return left * right


class MeanAfterPositions(Masked):
    def __init__(self, max_length, **kwargs):
        super().__init__(**kwargs)
        self.max_length = max_length

    def build(self, input_shape):
        self.table = self.add_weight(shape=(self.max_length, input_shape[-1]))

    def call(self, inputs, mask=None):
        return ops.mean(zeroed(inputs + self.table[: ops.shape(inputs)[1]], mask), axis=1)


BROKEN = (MeanOverAllSteps, DividesByStaticLength, MaxOverZeros, MeanOfTokens, MeanOfTwo, MeanAfterPositions)


@pytest.mark.parametrize("layer", BROKEN)
def test_padding_that_counts_is_found(layer):
    failed = [finding.code for finding in lw.check(layer, select=["LW4"]).findings if finding.outcome in BAD_OUTCOMES]
    assert "LW407" in failed


def test_the_number_of_steps_is_free_only_where_nobody_declared_it():
    mask = lw.InputSpec((None, 10), "bool")
    report = lw.check(MeanOverAllSteps, inputs=(None, 10, 5), call={"mask": mask}, select=["LW407"])
    assert [finding.outcome for finding in report.findings] == [Outcome.SKIPPED]


class FlattensOneLength(Masked):
    """Serves the number of steps that it is built for: with a dense layer behind it, no other."""

    def call(self, inputs, mask=None):
        return ops.reshape(zeroed(inputs, mask), (-1, inputs.shape[1] * inputs.shape[2]))


class DecaysInALoop(Masked):
    """Loops over a number of steps that must be known when it is traced."""

    def call(self, inputs, mask=None):
        state = ops.zeros_like(inputs[:, 0])
        for step in range(inputs.shape[1]):
            new = 0.5 * state + 0.5 * inputs[:, step]
            state = new if mask is None else ops.where(mask[:, step, None], new, state)
        return state


class WeighsEachStep(Masked):
    def build(self, input_shape):
        self.scale = self.add_weight(shape=(input_shape[1], 1))

    def call(self, inputs, mask=None):
        return ops.max(ops.abs(zeroed(inputs, mask) * self.scale), axis=1)


class LearnsPositions(layers.Layer):
    def __init__(self, max_length, **kwargs):
        super().__init__(**kwargs)
        self.supports_masking = True
        self.max_length = max_length

    def build(self, input_shape):
        self.table = self.add_weight(shape=(self.max_length, input_shape[-1]))

    def call(self, inputs, mask=None):
        return zeroed(inputs + self.table[: ops.shape(inputs)[1]], mask)

    def get_config(self):
        return {**super().get_config(), "max_length": self.max_length}


class DropsTwice(layers.Layer):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.drop = layers.Dropout(0.4, dtype=self.dtype_policy)

    def build(self, input_shape):
        self.drop.build(input_shape)

    def call(self, inputs, training=None):
        return self.drop(ops.tanh(self.drop(inputs, training=training)), training=training)


@pytest.mark.parametrize("layer", [FlattensOneLength, DecaysInALoop, WeighsEachStep, LearnsPositions, DropsTwice])
def test_sound_layers_are_left_alone(layer):
    report = lw.check(layer)
    assert report.ok, str(report)


class VarianceBySquares(Masked):
    """Loses digits where the mean is large: how many depends on how the sum is split, and so on the length."""

    def call(self, inputs, mask=None):
        counts = ops.ones_like(inputs[..., :1]) if mask is None else ops.cast(ops.expand_dims(mask, -1), inputs.dtype)
        total, steps = zeroed(inputs, mask), ops.maximum(ops.sum(counts, axis=1), 1.0)
        return ops.sum(total * total, axis=1) / steps - ops.square(ops.sum(total, axis=1) / steps)


def test_rounding_where_inputs_are_large_is_no_padding_that_counts():
    (finding,) = lw.check(VarianceBySquares, select=["LW407"]).findings
    assert finding.outcome is Outcome.PASSED


class LossOfTokens(layers.Layer):
    """Gives a number whose differences float16 rounds away; the tokens stay whole numbers."""

    def __init__(self, vocab_size, **kwargs):
        super().__init__(**kwargs)
        self.embedding = layers.Embedding(vocab_size, 3)

    def call(self, token_ids):
        return ops.cast(9.0 + 1e-3 * ops.mean(self.embedding(token_ids), axis=(1, 2)), self.compute_dtype)


def test_integers_are_not_held_against_a_layer_whose_outputs_round_to_one():
    inputs = lw.InputSpec((None, 10), "int32")
    report = lw.check(LossOfTokens, init={"vocab_size": 5000}, inputs=inputs, select=["LW603"])
    assert [finding.outcome for finding in report.findings] == [Outcome.INCONCLUSIVE]


def test_a_layer_that_makes_a_mask_is_not_asked_to_ignore_what_the_mask_is_made_of():
    init = {"input_dim": 8, "output_dim": 4, "mask_zero": True}
    report = lw.check(layers.Embedding, init=init, inputs=lw.InputSpec((None, 10), "int32"), select=["LW401"])
    assert [finding.outcome for finding in report.findings] == [Outcome.SKIPPED]


class IgnoresItsMask(Masked):
    def call(self, inputs, mask=None):
        return ops.mean(inputs, axis=1)


def test_a_mask_that_is_not_read_is_called_that():
    (finding,) = lw.check(IgnoresItsMask, select=["LW401"]).findings
    assert finding.outcome is Outcome.FAILED
    assert finding.message.endswith("the layer takes a mask but does not use it")
    assert finding.fix.startswith("Use the mask in `call`")


class DropsMaskByHand(Masked):
    def call(self, inputs, mask=None):
        return zeroed(inputs, mask)


class DropsMaskByDefault(layers.Layer):
    def call(self, inputs, mask=None):
        return zeroed(inputs, mask)


@pytest.mark.parametrize(
    ("layer", "fix"),
    [
        (DropsMaskByHand, "Return the mask from `compute_mask"),
        (DropsMaskByDefault, "Set `self.supports_masking = True`"),
    ],
)
def test_the_fix_for_a_dropped_mask_is_the_one_that_is_missing(layer, fix):
    (finding,) = lw.check(layer, inputs=(None, None, 5), select=["LW408"]).findings
    assert finding.outcome is Outcome.WARNED
    assert finding.fix.startswith(fix)


class PointsAtSteps(layers.Layer):
    """Scores that a softmax is to follow: masked steps are far below."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.score = layers.Dense(1, dtype=self.dtype_policy)

    def build(self, input_shape):
        self.score.build(input_shape)

    def call(self, inputs, mask=None):
        scores = ops.squeeze(self.score(zeroed(inputs, mask)), -1)
        return scores if mask is None else ops.where(mask, scores, -3e4)


def test_what_is_put_at_masked_steps_has_no_scale_to_keep():
    (finding,) = lw.check(PointsAtSteps, select=["LW508"]).findings
    assert finding.outcome is Outcome.PASSED


class KeyMasked(layers.Layer):
    """Averages values over the steps that a mask of three axes allows, for each query step or for all."""

    def __init__(self, leaks=False, **kwargs):
        super().__init__(**kwargs)
        self.leaks = leaks

    def call(self, inputs, mask=None):
        values = ops.repeat(inputs[:, None], inputs.shape[1], axis=1)
        if mask is None or self.leaks:
            return ops.mean(values, axis=2)
        if mask.shape[2] == 1:
            mask = ops.transpose(mask, (0, 2, 1))
        allowed = ops.broadcast_to(mask, ops.shape(values)[:3])[..., None]
        kept = ops.where(allowed, values, 0.0)
        return ops.sum(kept, axis=2) / ops.maximum(ops.sum(ops.cast(allowed, "float32"), axis=2), 1.0)


@pytest.mark.parametrize("shape", [(None, 10, 10), (None, 1, 10), (None, 10, 1)])
def test_masks_of_three_axes_are_understood(shape):
    def case(leaks):
        return lw.Case(KeyMasked, {"leaks": leaks}, (None, 10, 5), {"mask": lw.InputSpec(shape, "bool")})

    outcomes = {finding.code: finding.outcome for finding in lw.check(case(False), select=["LW401"]).findings}
    assert outcomes["LW401"] is Outcome.PASSED
    outcomes = {finding.code: finding.outcome for finding in lw.check(case(True), select=["LW401"]).findings}
    assert outcomes["LW401"] is Outcome.FAILED
