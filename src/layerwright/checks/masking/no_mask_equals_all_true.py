"""LW405."""

from dataclasses import replace

import numpy as np

from layerwright.checks.masking._calls import outputs
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
"""Within float16, which ends at 65504; four of it are not."""


@check("LW405", "no-mask-equals-all-true", requires=("LW402",), exempt={"stateful": True})
def no_mask_equals_all_true(trial: Trial) -> Finding:
    """A mask that masks nothing gives what no mask gives.

    What it proves:
        With a mask that is true throughout the outputs are those without a mask, in float32; and in float16 they are
        finite where those without a mask are.

    Why it matters:
        The same samples come padded with others of their batch and alone without a mask. Where the layer has one
        computation for each case, the two drift apart: a count that is off by one, an epsilon in one divisor, a mask
        read the wrong way round, or a sum in float16 that overflows where the mean without a mask does not.

    How it is tested:
        The usual inputs are called in inference without a mask and with one that is true throughout; the outputs must
        agree to 1e-5 of their scale (2e-2 in float16, 2e-1 in bfloat16). If `call` takes a mask, a second layer, under
        the float16 policy, is called both ways on inputs of 20000.

    Exempt when:
        The layer declares `stateful=True`, as no two calls can be compared; skipped where it takes no mask and does
        not declare `supports_masking`.

    References:
        keras.io, "Understanding masking & padding"; Micikevicius et al. 2018, "Mixed precision training",
        arXiv:1710.03740, on reductions.
    """
    found = subject(trial)
    if not isinstance(found, Subject):
        return found
    if found.mask_is_required:
        return skipped("cannot be called without a mask")
    all_true = [np.ones_like(mask) for mask in found.masks]
    without = outputs(trial, found, found.plain)
    difference = largest_difference(without, outputs(trial, found, found.masked(all_true)[1]))
    if difference > tolerance(trial):
        return failed(
            f"a mask that is true throughout gives other outputs than no mask: they differ by {difference:.3g} of the "
            "outputs' scale, expected 0",
            "Let both cases share one computation: mask = ops.ones(…) where it is None; and let True mean that a step "
            "counts.",
        )
    if found.sees_mask and _overflows(trial, found, all_true):
        return failed(
            f"in float16, inputs of {LARGE:g} give finite outputs without a mask, infinite or NaN ones with a mask "
            "that is true throughout",
            "Add up in float32 and cast the result: ops.sum(ops.cast(inputs, 'float32'), axis=1). Float16 ends at "
            "65504: four steps of 20000 add up to more, and so do 2000 steps of 100.",
        )
    return passed()


def _overflows(trial: Trial, found: Subject, masks: list[Array]) -> bool:
    """Whether outputs in float16 on large inputs are finite without a mask and are not with these masks."""
    large = found.plain.map(lambda array: np.full_like(array, LARGE) if array.dtype.kind == "f" else array)
    try:
        half = replace(found, layer=trial.construct(dtype="float16"))
        trial.symbolic_call(half.layer)  # builds it; on JAX a call would compile each operation in float16
        plain, masked = outputs(trial, half, large), outputs(trial, half, half.masked(masks, plain=large)[1])
    except LayerError:  # LW601 policy-is-honoured speaks of layers that do not work in float16
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
