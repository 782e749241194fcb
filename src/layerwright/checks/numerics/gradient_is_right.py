"""LW502."""

from typing import Any

import numpy as np

from layerwright.checks.numerics._gradients import PAST_KERAS, reads_past_keras
from layerwright.checks.numerics._slopes import Arrays, Point, Slopes, random_direction, slopes, usual_point
from layerwright.core.case import Case
from layerwright.core.check import check
from layerwright.core.finding import Finding, failed, inconclusive, passed, skipped
from layerwright.trial.subject import lively
from layerwright.trial.trial import Trial

TOLERANCE = 1e-3
LEAST_SHARE = 0.05
MOST_SHOWN = 40

Compared = tuple[float, float, float]
"""The slope, what the gradient says it is, and how far apart they may be."""


@check("LW502", "gradient-is-right", requires=("LW501",), exempt={"smooth": False, "stateful": True})
def gradient_is_right(trial: Trial) -> Finding:
    """The gradient by each weight and each input is the slope of what the layer computes.

    What it proves:
        Along a random direction of each trainable weight, and of each floating-point input, the outputs change as the
        gradient says.

    Why it matters:
        A custom gradient with a lost factor, a `stop_gradient` around too much, and a clipped or rounded value in the
        middle still train, in a direction that is not downhill. Losses fall slowly, and no one knows why.

    How it is tested:
        Weights and inputs are moved by a hundredth along a random direction and back, and by half of that; the two
        central differences are extrapolated (Richardson) and compared with the gradient, which must agree to 1e-3 and
        the rounding of float32. Tensors with large gradients are moved less, so that they do not drown out the others.
        Outputs with a kink in between, as behind a ReLU, give themselves away by the two differences not agreeing:
        they are left out, and smaller steps are taken where they are the most. Two directions must disagree, and then
        each tensor by itself tells which are wrong. Weights are off their initial values.

    Exempt when:
        The layer declares `smooth=False`, as straight-through estimators should, or `stateful=True`; skipped where it
        does not compute in float32.

    References:
        Griewank and Walther 2008, "Evaluating Derivatives", chapter 1; keras.io/api/ops/core, "custom_gradient".
    """
    compute_dtype = lively(trial).compute_dtype
    if compute_dtype not in ("float32", "float64"):
        return skipped(f"finite differences need float32; the layer computes in {compute_dtype}")
    point = usual_point(trial)
    if not point.names:
        return skipped("the layer has neither trainable weights nor floating-point inputs")
    direction = random_direction(point, trial.seed)
    found = slopes(point, direction)
    if not found.values:
        return skipped("the layer has no floating-point output")
    if found.share < LEAST_SHARE:
        return inconclusive("the outputs have kinks or jumps wherever looked", "Declare smooth=False.")
    together = _compared(point, direction, found)
    if not _agrees(together):
        together = _compared(point, random_direction(point, trial.seed + 1))
    if _agrees(together):
        return passed(smooth_share=found.share, slopes=[_row("all at once", together)])
    if reads_past_keras(trial):
        return inconclusive(PAST_KERAS)
    each = [(name, _compared(point, _only(direction, place))) for place, name in enumerate(point.names)]
    names = [name for name, compared in each if not _agrees(compared)]
    slope, gradient = _compared(point, direction, found)[:2]
    return failed(
        f"the gradient by {', '.join(names or point.names)} is wrong: along a random direction the outputs, weighted "
        f"at random, change by {slope:.5g} a unit, but the gradient says {gradient:.5g}",
        "Correct the custom gradient, or let gradients through where stop_gradient, a cast or a rounding stops them; "
        "if the gradient is meant to differ, declare smooth=False.",
        wrong=names,
        slopes=[_row(name, compared) for name, compared in each[:MOST_SHOWN]],
    )


def _agrees(compared: Compared) -> bool:
    slope, gradient, allowed = compared
    return abs(slope - gradient) <= allowed


def _row(name: str, compared: Compared) -> dict[str, Any]:
    return {"name": name, **dict(zip(("slope", "gradient", "allowed"), compared, strict=True))}


def _compared(point: Point, direction: Arrays, found: Slopes | None = None) -> Compared:
    """Return the slope, what the gradient says it is, and how far apart they may be, for a random cotangent.

    The cotangent is zero where outputs are not smooth.
    """
    found = found or slopes(point, direction)
    rng = np.random.default_rng(0)
    cotangents = [rng.standard_normal(smooth.shape) * smooth for smooth in found.smooth]
    pairs = zip(cotangents, found.values, strict=True)
    terms = [np.where(cotangent != 0, cotangent * value, 0.0) for cotangent, value in pairs]
    gradients = point.gradients([cotangent.astype("float32") for cotangent in cotangents])
    said = sum(float((g.astype("float64") * along).sum()) for g, along in zip(gradients, direction, strict=True))
    scale = float(np.sqrt(sum(np.square(term).sum() for term in terms)))
    noise = sum(n * float(np.linalg.norm(c)) for n, c in zip(found.noise, cotangents, strict=True))
    return sum(float(term.sum()) for term in terms), said, TOLERANCE * scale + noise


def _only(direction: Arrays, place: int) -> Arrays:
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
