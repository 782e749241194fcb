"""LW507."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from layerwright.checks.numerics._gradients import differentiator
from layerwright.core.case import Case
from layerwright.core.check import check
from layerwright.core.finding import Finding, passed, skipped, warned
from layerwright.trial.arguments import Array
from layerwright.trial.compare import leaves
from layerwright.trial.paths import attribute_path
from layerwright.trial.subject import lively
from layerwright.trial.trial import Trial, restore, snapshot

DRAWS = 12
NEGLIGIBLE = 1e-5


@dataclass(frozen=True)
class Rank:
    """The degrees of freedom of a weight: how many independent directions its gradients span.

    Attributes:
        path: The path of the weight, such as `self.hidden.kernel`.
        size: How many of its entries get a gradient.
        rank: How many independent directions were found, at most the number of gradients.
    """

    path: str
    size: int
    rank: int

    @property
    def expected(self) -> int:
        """The smallest rank that passes."""
        return math.ceil(min(DRAWS, self.size / 2))

    @property
    def is_too_low(self) -> bool:
        """Whether the rank is less than half of the entries. It is exact if it is less than the number of gradients."""
        return self.rank < self.expected


@check("LW507", "weights-are-identifiable", requires=("LW501",), exempt={"batch": "graph"}, advisory=True)
def weights_are_identifiable(trial: Trial) -> Finding:
    """No weight has far fewer degrees of freedom than entries.

    What it proves:
        The outputs depend on each trainable weight in at least half as many independent directions as the weight has
        entries, or in at least twelve.

    Why it matters:
        Some weights have redundant entries: a kernel that is summed before it is used, a gate that is repeated along an
        axis, angles of which only the sum matters. Such a weight may look like 192 parameters and act like 6. The model
        is then smaller than its parameter count suggests, and its updates are larger than the learning rate suggests.

    How it is tested:
        Weights are moved off their initial values at random, up and down. Twelve gradients are computed, each for other
        inputs and other random factors of the outputs. The gradients of a weight with r degrees of freedom form a
        matrix of rank r, so a rank below twelve is exact. Entries that get no gradient, such as unused rows of an
        embedding, do not count. Each weight is checked separately, and a few lost directions do not matter, because
        correct layers lose some too: the bias of attention keys, a scale before a normalisation, the level of logits
        before a softmax.

    Exempt when:
        The layer declares `batch="graph"`, because a small graph has few different rows. Skipped if the layer has no
        trainable weights.

    References:
        Rothenberg 1971, "Identification in Parametric Models", Econometrica 39(3); Catchpole and Morgan 1997,
        "Detecting parameter redundancy", Biometrika 84(1).
    """
    if not lively(trial).trainable_variables:
        return skipped("the layer has no trainable weights")
    ranks = list(_gradient_ranks(trial))
    too_low = [each for each in ranks if each.is_too_low]
    if too_low:
        weights = ", ".join(
            f"{each.path} has {each.size} entries but only {each.rank} degrees of freedom (expected at least "
            f"{each.expected})"
            for each in too_low[:4]
        )
        return warned(
            weights,
            "Keep only as many parameters as act independently, or use the others separately: look for a sum, mean or "
            "product of weights that is computed before the inputs are used. If this is intended, add LW507 to the "
            "`expect` of the case.",
            ranks={each.path: each.rank for each in ranks},
        )
    return passed(ranks={each.path: each.rank for each in ranks})


def _gradient_ranks(trial: Trial) -> Iterator[Rank]:
    layer, rng = lively(trial), np.random.default_rng(trial.seed)
    usual = snapshot(layer.trainable_variables)
    for (weight, _), (_, initial) in zip(usual, snapshot(trial.built().trainable_variables), strict=True):
        # Up and down: if all weights were larger than before, every ReLU might be active.
        if "float" in str(weight.dtype):
            weight.assign((initial + 0.1 * rng.standard_normal(initial.shape)).astype(initial.dtype))
    outputs = leaves(trial.call(layer, trial.usual, training=False))
    shapes = [output.shape for output in outputs if output.dtype.kind == "f"]
    rows: dict[str, list[Array]] = {}
    for draw in range(DRAWS):
        cotangents = [rng.standard_normal(shape).astype("float32") for shape in shapes]
        made = differentiator(trial, False)(trial.arguments(seed=draw), cotangents)
        for path, gradient in made.weights.items():
            if gradient is not None and gradient.size > 2 and np.isfinite(gradient).all():
                rows.setdefault(path, []).append(gradient.astype("float64").ravel())
    restore(usual)
    names = {weight.path: attribute_path(layer, weight) for weight, _ in usual}
    for path, gradients in rows.items():
        if len(gradients) == DRAWS:
            yield _rank_of_gradients(names[path], np.stack(gradients))


def _rank_of_gradients(path: str, gradients: Array) -> Rank:
    reached = gradients[:, np.abs(gradients).max(axis=0) > 0]
    lengths = np.linalg.norm(reached, axis=1, keepdims=True)
    rows = reached / np.where(lengths > 0, lengths, 1.0)
    values = np.linalg.svd(rows, compute_uv=False) if rows.size else np.zeros(0)
    return Rank(path, reached.shape[1], int((values > NEGLIGIBLE * values.max(initial=0.0)).sum()))


def bad() -> Case:
    import keras

    class Scaled(keras.layers.Layer):
        def build(self, input_shape):
            self.scales = self.add_weight(shape=(8, input_shape[-1]), initializer="ones", name="scales")

        def call(self, inputs):
            return inputs * keras.ops.mean(self.scales, axis=0)

    return Case(Scaled, inputs=(None, 5))


def good() -> Case:
    import keras

    class Scaled(keras.layers.Layer):
        def build(self, input_shape):
            self.scales = self.add_weight(shape=(8, input_shape[-1]), initializer="ones", name="scales")

        def call(self, inputs):
            scaled = keras.ops.expand_dims(inputs, -2) * self.scales
            return keras.ops.mean(keras.ops.tanh(scaled), axis=-2)

    return Case(Scaled, inputs=(None, 5))
