"""LW1002."""

import math
from collections.abc import Iterator

from layerwright.checks.training._fitting import fit, thawed
from layerwright.core.case import Case
from layerwright.core.check import check
from layerwright.core.finding import Finding, failed, passed, skipped
from layerwright.trial.trial import Trial

WAYS = {"tensorflow": ((False, (0, 1)), (True, (0,))), "jax": ((True, (1,)),), "torch": ((False, (0, 1)),)}
"""How `fit` is called, by backend: whether it compiles with XLA, and how many samples each batch lacks."""


@check("LW1002", "trains", requires=("LW303", "LW501"), exempt={"stateful": True})
def trains(trial: Trial) -> Finding:
    """`fit` moves every trainable weight, leaves frozen ones alone and ends with a finite loss.

    What it proves:
        The layer goes through Keras's own training loop, with a last batch that is not full: compiled by `tf.function`
        with and without XLA, by `jax.jit`, or run by torch.

    Why it matters:
        What works when it is called may not work in `fit`, which compiles a step, calls it with another batch size at
        the end of an epoch and updates only what it finds in `trainable_variables`. A layer that assigns its weights
        itself undoes what the optimizer did on one backend and is ignored on another; and it goes on learning
        after `layer.trainable = False`, which is how a pretrained layer is ruined.

    How it is tested:
        Weights are moved off their initial values; the layer is trained by stochastic gradient descent on the mean of
        its outputs times random targets, for a whole batch and one that lacks a sample. As each size is compiled anew,
        `jax.jit` gets the latter only, and XLA on TensorFlow the former, unless the layer has `supports_jit = False`.
        A weight must move by at least one bit if the gradient says that a step moves it by 1e-5 of its size; whether
        there is a gradient is for LW501 every-weight-learns to say. Weights under a constraint may stay. A frozen twin
        is called with `training=True`.

    Exempt when:
        The layer declares `stateful`, or has no trainable weight, or no floating-point output with a row for
        each sample. One that declares `fixed_shape` is trained on whole batches only.

    References:
        keras.io/api/models/model_training_apis, `fit`; keras.io/guides/transfer_learning, on freezing layers.
    """
    losses = {}
    for jit, batches in _ways(trial):
        during = f"fit() with jit_compile={jit}"
        fitted = fit(trial, batches, jit=jit)
        if fitted is None:
            return skipped("the layer has no trainable weight, or no floating-point output with a row for each sample")
        if fitted.still:
            return failed(
                f"{during} left {', '.join(fitted.still[:4])} as before, though the gradient is not zero",
                "Create every weight with self.add_weight(…) in build(), and do not assign weights in call().",
            )
        if not math.isfinite(fitted.loss):
            return failed(
                f"{during} ended with the loss {fitted.loss}",
                "See LW503 gradients-are-finite; guard divisions, square roots and logarithms.",
            )
        losses[f"jit_compile={jit}"] = fitted.loss
    changed = thawed(trial)
    if changed:
        return failed(
            f"a call with training=True changed {', '.join(changed[:4])} of a layer with trainable=False",
            "Do not assign weights in call(): compute what you need from them, give add_weight a constraint, or assign "
            "only `if training and self.trainable`.",
        )
    return passed(losses=losses)


def _ways(trial: Trial) -> Iterator[tuple[bool, list[int]]]:
    """Yield whether to compile with XLA, and sizes of batches."""
    compiles = all(getattr(part, "supports_jit", True) for part in trial.construct()._flatten_layers())
    for jit, lacking in WAYS[trial.backend.NAME]:
        if compiles or not jit or trial.backend.NAME == "jax":
            yield jit and compiles, [trial.batch if trial.case.traits.fixed_shape else trial.batch - n for n in lacking]


def bad() -> Case:
    import keras

    class RenormalisesItself(keras.layers.Layer):
        def build(self, input_shape):
            self.scale = self.add_weight(shape=(input_shape[-1],), initializer="ones", name="scale")

        def call(self, inputs, training=False):
            if training:
                self.scale.assign(self.scale / keras.ops.mean(self.scale))
            return inputs * self.scale

    return Case(RenormalisesItself, inputs=(None, 5))


def good() -> Case:
    import keras

    class NormalisesWhenUsed(keras.layers.Layer):
        def build(self, input_shape):
            self.scale = self.add_weight(shape=(input_shape[-1],), initializer="ones", name="scale")

        def call(self, inputs):
            return inputs * self.scale / keras.ops.mean(self.scale)

    return Case(NormalisesWhenUsed, inputs=(None, 5))
