"""LW405."""

from dataclasses import replace

import numpy as np

from layerwright.checks.masking._calls import inference_outputs
from layerwright.core.case import Case
from layerwright.core.check import check
from layerwright.core.errors import LayerError
from layerwright.core.finding import Finding, failed, passed, skipped
from layerwright.trial.arguments import Array
from layerwright.trial.compare import largest_difference
from layerwright.trial.masks import Subject, subject
from layerwright.trial.subject import tolerance
from layerwright.trial.trial import Trial

LARGE = 2e4
"""Representable in float16, whose largest number is 65504, but the sum of four such values is not."""


@check("LW405", "no-mask-equals-all-true", requires=("LW402",), exempt={"stateful": True})
def no_mask_equals_all_true(trial: Trial) -> Finding:
    """An all-True mask gives the same outputs as no mask.

    What it proves:
        In float32 the outputs with an all-True mask equal the outputs without a mask. In float16 they are finite
        wherever the outputs without a mask are finite.

    Why it matters:
        The same sample may come with a mask, padded to the length of others, or alone and without a mask. If the layer
        has a separate computation for each case, the results can differ: a count is off by one, only one divisor has
        an epsilon, the mask is inverted, or a sum overflows in float16 where the mean without a mask does not.

    How it is tested:
        The layer is called in inference mode on the usual inputs, without a mask and with an all-True mask. Outputs may
        differ by 1e-5 of their scale, which is their largest absolute value, at least 1 (by 2e-2 in float16, by 2e-1 in
        bfloat16). If `call` takes a mask, a second layer with the float16 policy is called in both ways on inputs of
        20000.

    Exempt when:
        The layer declares `stateful=True`, because then no two calls can be compared. Skipped if the layer takes no
        mask and does not declare `supports_masking`, or cannot be called without a mask.

    References:
        keras.io, "Understanding masking & padding"; Micikevicius et al. 2018, "Mixed precision training",
        arXiv:1710.03740, on reductions.
    """
    found = subject(trial)
    if not isinstance(found, Subject):
        return found
    if found.mask_is_required:
        return skipped("the layer cannot be called without a mask")
    all_true = [np.ones_like(mask) for mask in found.masks]
    without = inference_outputs(trial, found, found.plain)
    difference = largest_difference(without, inference_outputs(trial, found, found.masked(all_true)[1]))
    if difference > tolerance(trial):
        return failed(
            f"an all-True mask changes the outputs: they differ from those without a mask by {difference:.3g}, "
            f"relative to the largest value; expected at most {tolerance(trial):g}",
            "Use the same computation in both cases: if `mask` is None, replace it by `ops.ones(…, dtype='bool')`. "
            "Check that True marks the steps that count.",
        )
    if found.sees_mask and _mask_overflows_in_float16(trial, found, all_true):
        return failed(
            f"in float16, inputs of {LARGE:g} give finite outputs without a mask, but infinite or NaN outputs with an "
            "all-True mask; expected finite outputs",
            "Sum in float32, `ops.sum(ops.cast(inputs, 'float32'), axis=1)`, and cast the result back. The largest "
            "float16 number is 65504: the sum of four steps of 20000 is larger, and so is that of 2000 steps of 100.",
        )
    return passed()


def _mask_overflows_in_float16(trial: Trial, found: Subject, masks: list[Array]) -> bool:
    """Whether float16 outputs for large inputs are finite without a mask but not with these masks."""
    large = found.plain.map(lambda array: np.full_like(array, LARGE) if array.dtype.kind == "f" else array)
    # LW601 policy-is-honoured reports a layer that does not work in float16.
    try:
        half = replace(found, layer=trial.construct(dtype="float16"))
        # A symbolic call builds the layer. On JAX a real call would compile each operation in float16.
        trial.symbolic_call(half.layer)
        plain = inference_outputs(trial, half, large)
        masked = inference_outputs(trial, half, half.masked(masks, plain=large)[1])
    except LayerError:
        return False
    pairs = [(a, b) for a, b in zip(plain, masked, strict=True) if a.dtype.kind == "f"]
    return any(bool((np.isfinite(a) & ~np.isfinite(b)).any()) for a, b in pairs)


def bad() -> Case:
    import keras

    class OffByOne(keras.layers.Layer):
        def call(self, inputs, mask=None):
            if mask is None:
                return keras.ops.mean(inputs, axis=1)
            weights = keras.ops.cast(keras.ops.expand_dims(mask, -1), "float32")
            total = keras.ops.sum(keras.ops.where(weights > 0, keras.ops.cast(inputs, "float32"), 0.0), axis=1)
            return keras.ops.cast(total / (keras.ops.sum(weights, axis=1) + 1.0), self.compute_dtype)

    return Case(OffByOne, inputs=(None, None, 5))


def good() -> Case:
    import keras

    class OneComputation(keras.layers.Layer):
        def call(self, inputs, mask=None):
            mask = keras.ops.ones_like(inputs[..., 0], "bool") if mask is None else mask
            weights = keras.ops.cast(keras.ops.expand_dims(mask, -1), "float32")
            total = keras.ops.sum(keras.ops.where(weights > 0, keras.ops.cast(inputs, "float32"), 0.0), axis=1)
            return keras.ops.cast(total / keras.ops.maximum(keras.ops.sum(weights, axis=1), 1.0), self.compute_dtype)

    return Case(OneComputation, inputs=(None, None, 5))
