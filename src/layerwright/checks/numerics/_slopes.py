"""Compute the slopes of outputs along a direction of weights and inputs, by finite differences."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from layerwright.checks.numerics._gradients import differentiator
from layerwright.core.errors import LayerError
from layerwright.trial.arguments import Arguments, Array
from layerwright.trial.compare import leaves
from layerwright.trial.gradients import compiled
from layerwright.trial.paths import attribute_path
from layerwright.trial.subject import lively
from layerwright.trial.trial import Trial

STEPS = (1e-2, 2e-3, 4e-4)
"""Relative to the size of a tensor. The first suffers least from rounding, the later ones include fewer kinks."""
ROUNDING = 8 * float(np.finfo("float32").eps)
AGREEMENT = 1e-3
ENOUGH = 0.5
LEAST_MOVE = 0.03

Arrays = list[Array]


@dataclass(frozen=True, eq=False)
class Point:
    """A layer in inference mode, as a function of its trainable weights and float inputs.

    Attributes:
        names: The names of weights and inputs, as messages use them.
        values: Their usual values.
        outputs: Takes such values and returns the float outputs, in float64.
        gradients: Takes cotangents and returns the gradients at the usual values; zeros if there is no gradient.
    """

    names: list[str]
    values: Arrays
    outputs: Callable[[Sequence[Array]], Arrays]
    gradients: Callable[[Sequence[Array] | None], Arrays]


@dataclass(frozen=True, eq=False)
class Slopes:
    """The slopes of outputs along a direction, by finite differences. Each list has one entry for each output.

    Attributes:
        values: The slopes.
        smooth: Which of them are reliable, because there is no kink within the step.
        noise: How much rounding may change them.
    """

    values: Arrays
    smooth: Arrays
    noise: list[float]

    @property
    def share(self) -> float:
        """The share of reliable entries."""
        entries = [smooth.ravel() for smooth in self.smooth]
        return float(np.mean(np.concatenate(entries))) if entries else 1.0


def usual_point(trial: Trial) -> Point:
    """Return the layer from `lively` at the usual inputs."""
    import keras

    layer, arrays = lively(trial), trial.usual.arrays()
    weights = [weight for weight in layer.trainable_variables if "float" in str(weight.dtype)]
    initial = [np.array(keras.ops.convert_to_numpy(weight.value)) for weight in weights]
    places = [place for place, array in enumerate(arrays) if array.dtype.kind == "f"]
    given = [name for name, _ in trial.usual.named_arrays()]
    call = _float_outputs_function(trial)

    def outputs(values: Sequence[Array]) -> Arrays:
        moved = list(arrays)
        for place, value in zip(places, values[len(weights) :], strict=True):
            moved[place] = value.astype(arrays[place].dtype)
        try:
            for weight, value in zip(weights, values, strict=False):
                weight.assign(value)
            return call(moved)
        finally:
            for weight, value in zip(weights, initial, strict=True):
                weight.assign(value)

    def gradients(cotangents: Sequence[Array] | None) -> Arrays:
        made = differentiator(trial, False)(trial.usual, cotangents)
        found = [*(made.weights[weight.path] for weight in weights), *(made.inputs[place] for place in places)]
        return [np.zeros_like(v) if g is None else g for g, v in zip(found, values, strict=True)]

    values = [*initial, *(arrays[place] for place in places)]
    names = [*(attribute_path(layer, weight) for weight in weights), *(given[place] for place in places)]
    return Point(names, values, outputs, gradients)


def random_direction(point: Point, seed: int) -> Arrays:
    """Draw a random direction for each weight and input.

    Directions are shorter for tensors with large gradients, which would otherwise hide the others. The gradient for a
    random cotangent says how much each tensor contributes.
    """
    rng = np.random.default_rng(seed)
    sizes = [max(1.0, _root_mean_square(value)) for value in point.values]
    strengths = [
        size * float(np.linalg.norm(np.asarray(gradient, "float64")))
        for size, gradient in zip(sizes, point.gradients(None), strict=True)
    ]
    weakest = min(strengths)
    shares = [max(weakest / strength, LEAST_MOVE) if strength else 1.0 for strength in strengths]
    return [
        np.asarray(share * size * rng.standard_normal(value.shape))
        for share, size, value in zip(shares, sizes, point.values, strict=True)
    ]


def slopes(point: Point, direction: Arrays) -> Slopes:
    """Return the slopes for the first step size at which enough outputs are smooth, otherwise for the best one."""
    base = point.outputs(point.values)
    best = _slopes_at(point, direction, base, STEPS[0])
    for step in STEPS[1:]:
        if best.share >= ENOUGH:
            break
        best = max(best, _slopes_at(point, direction, base, step), key=lambda found: found.share)
    return best


def _slopes_at(point: Point, direction: Arrays, base: Arrays, step: float) -> Slopes:
    def outputs(part: float) -> Arrays:
        pairs = zip(point.values, direction, strict=True)
        return point.outputs([(value + step * part * along).astype(value.dtype) for value, along in pairs])

    values, smooth, noise = [], [], []
    moved = [outputs(part) for part in (1.0, -1.0, 0.5, -0.5)]
    for here, ahead, behind, near_ahead, near_behind in zip(base, *moved, strict=True):
        wide, narrow = (ahead - behind) / (2 * step), (near_ahead - near_behind) / step
        bend = np.abs(ahead - 2 * here + behind) / step
        near_bend = np.abs(near_ahead - 2 * here + near_behind) / (step / 2)
        floor = ROUNDING * max(1e-6, float(np.abs(here).max(initial=0.0))) / step
        close = np.abs(wide - narrow) <= AGREEMENT * float(np.abs(narrow).max(initial=0.0)) + floor
        values.append((4 * narrow - wide) / 3)
        smooth.append(np.isfinite(values[-1]) & close & (near_bend <= 0.6 * bend + 4 * floor))
        noise.append(floor)
    return Slopes(values, smooth, noise)


def _float_outputs_function(trial: Trial) -> Callable[[Sequence[Array]], Arrays]:
    """Return the layer from `lively` in inference mode, as a function that takes arrays and returns float outputs."""
    layer, usual = lively(trial), trial.usual

    def eager(arguments: Arguments) -> Any:
        return trial.call(layer, arguments, training=False)

    run: Callable[[Arguments], Any] = eager
    if trial.backend.NAME == "jax":
        run = compiled(trial, layer, usual, training=False)
        # LW801 compiled-equals-eager reports a layer that cannot be compiled.
        try:
            run(usual)
        except LayerError:
            run = eager

    def call(arrays: Sequence[Array]) -> Arrays:
        outputs = leaves(run(usual.replace_arrays(arrays)))
        return [output.astype("float64") for output in outputs if output.dtype.kind == "f"]

    return call


def _root_mean_square(array: Array) -> float:
    return float(np.sqrt(np.mean(np.square(array.astype("float64")))))
