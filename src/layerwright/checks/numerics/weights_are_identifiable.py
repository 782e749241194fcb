"""LW507."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from layerwright.checks.numerics._gradients import differentiator
from layerwright.core.case import Case
from layerwright.core.check import check
from layerwright.core.finding import Finding, passed, skipped, warned
from layerwright.trial.arguments import Array
from layerwright.trial.compare import leaves
from layerwright.trial.subject import lively
from layerwright.trial.trial import Trial, restore, snapshot

DRAWS = 12
NEGLIGIBLE = 1e-5


@dataclass(frozen=True)
class Rank:
    """How many independent directions a weight's gradient has.

    Attributes:
        path: The weight.
        size: How many of its entries any gradient reaches.
        rank: How many directions were found; at most as many as gradients were drawn.
    """

    path: str
    size: int
    rank: int

    @property
    def is_wasted(self) -> bool:
        """Whether the weight acts as fewer than half of its entries, and more draws would not have found others."""
        return self.rank < min(DRAWS, self.size / 2)


@check("LW507", "weights-are-identifiable", requires=("LW501",), advisory=True)
def weights_are_identifiable(trial: Trial) -> Finding:
    """No weight has many entries that act as few.

    What it proves:
        The outputs depend on each trainable weight in at least half as many independent directions as it has entries,
        or in a dozen.

    Why it matters:
        A kernel that is summed before it is used, a gate repeated over an axis and angles of which only the sum counts
        look like 192 parameters and act as 6. The model is smaller than its parameter count says, and its updates are
        larger than the learning rate says.

    How it is tested:
        Weights are moved off their initial values at random, up and down. Twelve gradients are drawn, each for other
        inputs and random factors on the outputs. A weight with r free directions gives a matrix of rank r, whatever is
        drawn; r under 12 is therefore exact. Entries that no gradient reaches, as rows of an embedding, do not count.
        Every weight is judged by itself, and a few lost directions are no matter: the bias of attention's keys, a
        scale before a normalisation and the level of logits before a softmax are lost in sound layers too.

    Exempt when:
        Never; skipped where the layer has no trainable weights.

    References:
        Rothenberg 1971, "Identification in Parametric Models", Econometrica 39(3); Catchpole and Morgan 1997,
        "Detecting parameter redundancy", Biometrika 84(1).
    """
    if not lively(trial).trainable_variables:
        return skipped("the layer has no trainable weights")
    ranks = list(_ranks(trial))
    wasted = [each for each in ranks if each.is_wasted]
    if wasted:
        said = ", ".join(f"the {each.size} entries of {each.path} act as {each.rank}" for each in wasted[:4])
        return warned(
            f"{said}: over {DRAWS} random gradients no more directions were found",
            "Keep only as many parameters as act, or use the others apart from each other (look for a sum, a mean or "
            "a product of weights before the inputs come in); if it is meant, expect this finding.",
            ranks={each.path: each.rank for each in ranks},
        )
    return passed(ranks={each.path: each.rank for each in ranks})


def _ranks(trial: Trial) -> Iterator[Rank]:
    layer, rng = lively(trial), np.random.default_rng(trial.seed)
    usual = snapshot(layer.trainable_variables)
    for (weight, _), (_, initial) in zip(usual, snapshot(trial.built().trainable_variables), strict=True):
        if "float" in str(weight.dtype):  # up and down: all up, and no ReLU would ever be off
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
    for path, gradients in rows.items():
        if len(gradients) == DRAWS:
            yield _rank(path, np.stack(gradients))


def _rank(path: str, gradients: Array) -> Rank:
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
