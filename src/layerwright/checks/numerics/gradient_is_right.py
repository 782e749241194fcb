"""LW502."""

from typing import Any

import numpy as np

from layerwright.checks.numerics._gradients import NOT_KERAS_VARIABLES, bypasses_keras_variables
from layerwright.checks.numerics._slopes import Arrays, Point, Slopes, random_direction, slopes, usual_point
from layerwright.core.case import Case
from layerwright.core.check import check
from layerwright.core.finding import Finding, failed, inconclusive, note, passed, skipped
from layerwright.trial.subject import lively
from layerwright.trial.trial import Trial

TOLERANCE = 1e-3
LEAST_SHARE = 0.05
MOST_SHOWN = 40

SlopeComparison = tuple[float, float, float]
"""The slope by finite differences, the slope that the gradient predicts, and the difference that is allowed."""


@check("LW502", "gradient-is-right", requires=("LW501",), exempt={"smooth": False, "stateful": True})
def gradient_is_right(trial: Trial) -> Finding:
    """Gradients with respect to weights and inputs agree with finite differences of the outputs.

    What it proves:
        Along a random direction of each trainable weight and each floating-point input, the outputs change as the
        gradient predicts.

    Why it matters:
        A layer still trains if its custom gradient misses a factor, if `stop_gradient` covers too much, or if a value
        is clipped or rounded on the way. But the steps do not go downhill: the loss falls slowly, and nobody knows why.

    How it is tested:
        Weights are first moved off their initial values. Weights and inputs are then moved along a random direction, by
        a hundredth of their size forwards and backwards, and by half of that. The two central differences are
        extrapolated (Richardson) and compared with the gradient. They must agree to 1e-3, plus the rounding of float32.
        Tensors with large gradients are moved less, so that they do not hide the others. If an output has a kink within
        the step, as after a ReLU, the two differences disagree, and the output is left out. If that concerns most
        outputs, smaller steps are tried. The check fails if the gradient disagrees along two directions. Each tensor is
        then moved alone, to find the incorrect gradients. If outputs are steps in one of them, with slope 0, but its
        gradient is not 0, the result is a note: a straight-through estimator or a quantiser is made so.

    Exempt when:
        The layer declares `smooth=False`, as straight-through estimators should, or `stateful=True`. Skipped if the
        layer does not compute in float32 or float64, has no floating-point output, or has neither trainable weights nor
        floating-point inputs.

    References:
        Griewank and Walther 2008, "Evaluating Derivatives", chapter 1; keras.io/api/ops/core, "custom_gradient".
    """
    compute_dtype = lively(trial).compute_dtype
    if compute_dtype not in ("float32", "float64"):
        return skipped(f"finite differences need float32 or float64, but the layer computes in {compute_dtype}")
    point = usual_point(trial)
    if not point.names:
        return skipped("the layer has no trainable weights and no floating-point inputs")
    direction = random_direction(point, trial.seed)
    found = slopes(point, direction)
    if not found.values:
        return skipped("the layer has no floating-point output")
    if found.share < LEAST_SHARE:
        return inconclusive(
            f"fewer than {LEAST_SHARE:.0%} of the output values are smooth near the inputs that were tried",
            "If the layer is meant to have kinks or jumps everywhere, declare `smooth=False`.",
        )
    together = _compare_slope_with_gradient(point, direction, found)
    if not _agrees(together):
        together = _compare_slope_with_gradient(point, random_direction(point, trial.seed + 1))
    if _agrees(together):
        return passed(smooth_share=found.share, slopes=[_evidence_row("all weights and inputs", together)])
    if bypasses_keras_variables(trial):
        return inconclusive(NOT_KERAS_VARIABLES)
    comparisons = [
        (name, _compare_slope_with_gradient(point, _direction_of_one_tensor(direction, place)))
        for place, name in enumerate(point.names)
    ]
    names = [name for name, comparison in comparisons if not _agrees(comparison)]
    surrogates = [name for place, name in enumerate(point.names) if _is_surrogate(point, direction, place)]
    if surrogates:
        return note(
            f"the outputs are steps in {', '.join(surrogates)}: their slope is 0, but the gradient is not, as in a "
            "straight-through estimator or a quantiser",
            "If that is meant, declare the trait `smooth=False`.",
            surrogates=surrogates,
        )
    slope, gradient = _compare_slope_with_gradient(point, direction, found)[:2]
    return failed(
        f"the gradient with respect to {', '.join(names or point.names)} disagrees with finite differences: along a "
        f"random direction the slope of a randomly weighted sum of the outputs is {slope:.5g}, but the gradient "
        f"predicts {gradient:.5g}",
        "Correct the custom gradient, or remove the `stop_gradient`, cast or rounding that blocks gradients. If the "
        "gradient is meant to differ from the slope, declare `smooth=False`.",
        wrong=names,
        slopes=[_evidence_row(name, comparison) for name, comparison in comparisons[:MOST_SHOWN]],
    )


def _agrees(comparison: SlopeComparison) -> bool:
    slope, gradient, allowed = comparison
    return abs(slope - gradient) <= allowed


def _evidence_row(name: str, comparison: SlopeComparison) -> dict[str, Any]:
    return {"name": name, **dict(zip(("slope", "gradient", "allowed"), comparison, strict=True))}


def _compare_slope_with_gradient(point: Point, direction: Arrays, found: Slopes | None = None) -> SlopeComparison:
    """Compare the slope of a random sum of the outputs with the slope that the gradient predicts.

    Outputs that are not smooth do not contribute to the sum.
    """
    found = found or slopes(point, direction)
    rng = np.random.default_rng(0)
    cotangents = [rng.standard_normal(smooth.shape) * smooth for smooth in found.smooth]
    pairs = zip(cotangents, found.values, strict=True)
    terms = [np.where(cotangent != 0, cotangent * value, 0.0) for cotangent, value in pairs]
    gradients = point.gradients([cotangent.astype("float32") for cotangent in cotangents])
    predicted = sum(float((g.astype("float64") * along).sum()) for g, along in zip(gradients, direction, strict=True))
    scale = float(np.sqrt(sum(np.square(term).sum() for term in terms)))
    noise = sum(n * float(np.linalg.norm(c)) for n, c in zip(found.noise, cotangents, strict=True))
    return sum(float(term.sum()) for term in terms), predicted, TOLERANCE * scale + noise


def _is_surrogate(point: Point, direction: Arrays, place: int) -> bool:
    """Whether outputs are steps in one tensor, yet its gradient is not 0: then the gradient is meant to differ."""
    alone = _direction_of_one_tensor(direction, place)
    found = slopes(point, alone)
    flat = all(
        bool((np.abs(values[smooth]) <= noise).all())
        for values, smooth, noise in zip(found.values, found.smooth, found.noise, strict=True)
    )
    return flat and found.share >= LEAST_SHARE and not _agrees(_compare_slope_with_gradient(point, alone, found))


def _direction_of_one_tensor(direction: Arrays, place: int) -> Arrays:
    return [along if here == place else np.zeros_like(along) for here, along in enumerate(direction)]


def bad() -> Case:
    import keras

    class Swish(keras.layers.Layer):
        def call(self, inputs):
            return inputs * keras.ops.stop_gradient(keras.ops.sigmoid(inputs))

    return Case(Swish, inputs=(None, 5))


def good() -> Case:
    import keras

    class Swish(keras.layers.Layer):
        def call(self, inputs):
            return inputs * keras.ops.sigmoid(inputs)

    return Case(Swish, inputs=(None, 5))
