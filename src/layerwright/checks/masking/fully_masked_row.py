"""LW404."""

import numpy as np

from layerwright.checks.masking._calls import outputs_and_masks
from layerwright.checks.masking._effects import effects
from layerwright.core.case import Case
from layerwright.core.check import check
from layerwright.core.finding import Finding, failed, inconclusive, passed
from layerwright.trial.arguments import Array
from layerwright.trial.masks import Subject, subject, with_last_row_masked
from layerwright.trial.trial import Trial


@check("LW404", "fully-masked-row", requires=("LW402",))
def fully_masked_row(trial: Trial) -> Finding:
    """A fully masked sample gives finite outputs and finite gradients.

    What it proves:
        If all steps of one sample are masked, every output and every gradient, with respect to inputs and weights, is
        still finite.

    Why it matters:
        Some samples are empty: an empty text, a batch filled up with padding, a document without any known word. A
        mean over no steps is 0/0. One NaN in one row of the outputs makes the loss NaN, and the gradient of that loss
        makes every weight NaN. A loss weight of 0 for that row does not help, since 0 * NaN is NaN.

    How it is tested:
        The layer is called on the usual inputs, in inference and training mode. In the usual mask the last row is set
        to False. Each output is multiplied by a random number, and the gradient of their sum is computed. Results that
        are not finite with the usual mask do not count. If there are only such results, the check is inconclusive.

    Exempt when:
        Never. Skipped if the layer takes no mask and does not declare `supports_masking`.

    References:
        keras.io, "Understanding masking & padding"; jax.readthedocs.io, "FAQ: Gradients contain NaN where using where".
    """
    found = subject(trial)
    if not isinstance(found, Subject):
        return found
    usual, emptied = (
        _names_of_non_finite_results(trial, found, found.masks),
        _names_of_non_finite_results(trial, found, [with_last_row_masked(mask) for mask in found.masks]),
    )
    new = [name for name in emptied if name not in usual]
    if new:
        return failed(
            f"with one sample fully masked, NaN or infinity appears in {', '.join(new[:4])}; expected finite numbers",
            "Divide by `ops.maximum(count, 1)`. Use `ops.where` before the division as well as after it. Mask scores "
            "with a large negative number, not with `-inf`.",
            not_finite=new,
        )
    if usual:
        return inconclusive(f"NaN or infinity already appears with the usual mask, in {', '.join(usual[:4])}")
    return passed()


def _names_of_non_finite_results(trial: Trial, found: Subject, masks: list[Array]) -> list[str]:
    """Return the names of the results that contain NaN or infinity when the layer gets these masks."""
    shapes = [output.shape for output in outputs_and_masks(trial, found, found.ways[0])[0]]
    results = effects(trial, found, masks, plain=found.plain, unmasked=[np.ones(shape, bool) for shape in shapes])
    return [name for name, array in results.items() if array.dtype.kind == "f" and not np.isfinite(array).all()]


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
