"""LW404."""

import numpy as np

from layerwright.checks.masking._calls import eager
from layerwright.checks.masking._effects import effects
from layerwright.core.case import Case
from layerwright.core.check import check
from layerwright.core.finding import Finding, failed, inconclusive, passed
from layerwright.trial.arguments import Array
from layerwright.trial.masks import Subject, subject
from layerwright.trial.trial import Trial


@check("LW404", "fully-masked-row", requires=("LW402",))
def fully_masked_row(trial: Trial) -> Finding:
    """A sample with no step that counts gives finite outputs and finite gradients.

    What it proves:
        With one sample masked throughout, every output and every gradient, by inputs and by weights, is finite.

    Why it matters:
        Empty samples come: an empty text, a batch filled up with padding, a document none of whose words is known. A
        mean over nothing is 0/0. One NaN in one row of outputs makes the loss NaN, its gradient makes every weight NaN,
        and a loss weight of 0 for that row does not help, since 0 * NaN is NaN.

    How it is tested:
        The usual inputs are called with the usual mask, its last row all false, in inference and in training, and
        differentiated for random cotangents. Only what was finite with the usual mask is held against the layer.

    Exempt when:
        Never; skipped where the layer takes no mask and does not declare `supports_masking`.

    References:
        keras.io, "Understanding masking & padding"; jax.readthedocs.io, "FAQ: Gradients contain NaN where using where".
    """
    found = subject(trial)
    if not isinstance(found, Subject):
        return found
    usual, emptied = (
        _not_finite(trial, found, found.masks),
        _not_finite(trial, found, [_emptied(m) for m in found.masks]),
    )
    new = [name for name in emptied if name not in usual]
    if new:
        return failed(
            f"with one sample masked throughout, NaN or infinity is in {', '.join(new[:4])}; expected finite numbers",
            "Divide by ops.maximum(count, 1), choose with ops.where before the division as well as after it, and mask "
            "scores with a large negative number rather than -inf.",
            not_finite=new,
        )
    if usual:
        return inconclusive(f"with the usual mask already, NaN or infinity is in {', '.join(usual[:4])}")
    return passed()


def _emptied(mask: Array) -> Array:
    emptied = mask.copy()
    emptied[-1] = False
    return emptied


def _not_finite(trial: Trial, found: Subject, masks: list[Array]) -> list[str]:
    """Return what holds NaN or infinity when the layer gets these masks."""
    shapes = [output.shape for output in eager(trial, found, found.ways[0])[0]]
    made = effects(trial, found, masks, plain=found.plain, counts=[np.ones(shape, bool) for shape in shapes])
    return [name for name, array in made.items() if array.dtype.kind == "f" and not np.isfinite(array).all()]


def bad() -> Case:
    import keras

    class MeanOfNothing(keras.layers.Layer):
        def call(self, inputs, mask=None):
            mask = keras.ops.ones_like(inputs[..., 0], "bool") if mask is None else mask
            weights = keras.ops.cast(keras.ops.expand_dims(mask, -1), "float32")
            total = keras.ops.sum(keras.ops.where(weights > 0, keras.ops.cast(inputs, "float32"), 0.0), axis=1)
            return keras.ops.cast(total / keras.ops.sum(weights, axis=1), self.compute_dtype)

    return Case(MeanOfNothing, inputs=(None, None, 5))


def good() -> Case:
    import keras

    class MeanOrZero(keras.layers.Layer):
        def call(self, inputs, mask=None):
            mask = keras.ops.ones_like(inputs[..., 0], "bool") if mask is None else mask
            weights = keras.ops.cast(keras.ops.expand_dims(mask, -1), "float32")
            total = keras.ops.sum(keras.ops.where(weights > 0, keras.ops.cast(inputs, "float32"), 0.0), axis=1)
            return keras.ops.cast(total / keras.ops.maximum(keras.ops.sum(weights, axis=1), 1.0), self.compute_dtype)

    return Case(MeanOrZero, inputs=(None, None, 5))
