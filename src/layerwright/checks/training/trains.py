"""LW1002 trains."""

import math
from collections.abc import Iterator

from layerwright.checks.training._fitting import changed_while_frozen, fit
from layerwright.core.case import Case
from layerwright.core.check import check
from layerwright.core.finding import Finding, failed, passed, skipped
from layerwright.trial.trial import Trial

FIT_MODES = {"tensorflow": ((False, (0, 1)), (True, (0,))), "jax": ((True, (1,)),), "torch": ((False, (0, 1)),)}
"""The calls of `fit` for each backend: whether to compile with XLA, and how many samples each batch lacks."""


@check("LW1002", "trains", requires=("LW303", "LW501", "LW209", "LW805"), exempt={"stateful": True})
def trains(trial: Trial) -> Finding:
    """`fit` updates every trainable weight, leaves frozen weights unchanged and ends with a finite loss.

    What it proves:
        The layer trains with `fit`, also when the last batch is smaller: compiled by `tf.function` with and without
        XLA, compiled by `jax.jit`, or run by torch.

    Why it matters:
        A layer that works when it is called may fail in `fit`, which compiles a training step, ends an epoch with a
        smaller batch, and updates only `trainable_variables`. If a layer assigns its own weights, it overwrites the
        optimizer's update on one backend, and its assignment is ignored on another. It also keeps changing after
        `layer.trainable = False`, which destroys pretrained weights.

    How it is tested:
        The check changes the weights from their initial values. It trains with stochastic gradient descent on the mean
        of the outputs times random targets, for a whole batch and a batch with one sample less. Because each size is
        compiled separately, `jax.jit` gets only the smaller batch and XLA on TensorFlow only the whole one. XLA is not
        used if the layer sets `supports_jit = False`. A weight must change if its gradient implies a change of at least
        1e-5 of its largest value; LW501 every-weight-learns checks that there is a gradient. Weights with a constraint
        may stay the same. Finally, the check calls a layer with `trainable=False` with `training=True`.

    Exempt when:
        The layer declares `stateful`, has neither weights nor metrics, or has no floating-point output with one row for
        each sample. A layer that declares `fixed_shape` is trained only on whole batches.

    References:
        keras.io/api/models/model_training_apis, `fit`; keras.io/guides/transfer_learning, on freezing layers.
    """
    losses = {}
    for jit, batches in _fit_modes(trial):
        during = f"fit() with jit_compile={jit}"
        fitted = fit(trial, batches, jit=jit)
        if fitted is None:
            return skipped(
                "the layer has neither weights nor metrics, or no floating-point output with one row for each sample"
            )
        if fitted.unchanged:
            return failed(
                f"{during} did not change {', '.join(fitted.unchanged[:4])}, although the gradient is not zero",
                "Create every weight with `self.add_weight(…)` in `build()`. Do not assign weights in `call()`.",
            )
        if not math.isfinite(fitted.loss):
            return failed(
                f"{during} ended with the loss {fitted.loss}; expected a finite loss",
                "Keep the arguments of divisions, square roots and logarithms away from zero, such as "
                "`ops.log(ops.maximum(x, 1e-7))`. See LW503 gradients-are-finite.",
            )
        losses[f"jit_compile={jit}"] = fitted.loss
    changed = changed_while_frozen(trial)
    if changed:
        return failed(
            f"with trainable=False, a call with training=True changed {', '.join(changed[:4])}; expected no change",
            "Do not assign weights in `call()`. Compute the value that you need from the weight, pass `constraint=…` "
            "to `add_weight`, or assign only `if training and self.trainable`.",
        )
    return passed(losses=losses)


def _fit_modes(trial: Trial) -> Iterator[tuple[bool, list[int]]]:
    """Yield whether to compile with XLA, and the batch sizes, for each call of `fit`."""
    compiles = all(getattr(part, "supports_jit", True) for part in trial.construct()._flatten_layers())
    for jit, lacking in FIT_MODES[trial.backend.NAME]:
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
