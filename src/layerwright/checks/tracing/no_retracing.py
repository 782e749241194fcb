"""LW803 no-retracing."""

from typing import Any

from layerwright.checks.tracing._programs import training_modes
from layerwright.core.case import Case
from layerwright.core.check import check
from layerwright.core.finding import Finding, failed, passed
from layerwright.trial.models import build
from layerwright.trial.reachable import SHARED, reachable
from layerwright.trial.trial import Trial

FIX = (
    "Store the number or flag in a weight, `self.add_weight(shape=(), dtype='int32', trainable=False)`, and update "
    "it with `assign()`. Do not assign Python attributes in `call()`."
)


@check("LW803", "no-retracing", requires=("LW802", "LW804"), exempt={"stateful": True})
def no_retracing(trial: Trial) -> Finding:
    """A repeated call changes no Python number, flag or string on the layer.

    What it proves:
        A call that repeats the previous one leaves all Python numbers, flags and strings of the layer unchanged, in
        inference and, if the layer behaves differently there, in training.

    Why it matters:
        `torch.compile` compiles for the Python values that it found on the layer, and compiles again when one changes.
        A call counter causes a compilation at every step, until torch gives up and runs eagerly. `tf.function` and
        `jax.jit` do not check these values again: there the counter counts traces, not calls.

    How it is tested:
        The check records the Python numbers, flags and strings in the layer's attributes, containers, plain objects and
        sublayers. It repeats the same call and compares. A value that changed fails the check. New values do not:
        LW1004 memory-is-steady checks those. The calls are eager, so no compiler's cache affects the result.

    Exempt when:
        The layer declares `stateful=True`.

    References:
        pytorch.org/docs, "Dealing with recompilations"; tensorflow.org/guide/function, "Controlling retracing" and
        "Executing Python side effects".
    """
    layer = build(trial, trial.construct())
    for training in training_modes(trial):
        trial.call(layer, trial.usual, training=training)
        before = _python_values(layer)
        trial.call(layer, trial.usual, training=training)
        after = _python_values(layer)
        changed = [
            f"{path} from {value!r} to {after[path]!r}"
            for path, value in before.items()
            # LW1004 memory-is-steady checks values that were added.
            if path in after and repr(after[path]) != repr(value)
        ]
        if changed:
            return failed(
                f"a repeated call with training={training} changed {', '.join(changed[:4])}; expected no change", FIX
            )
    return passed(values=len(before))


def _python_values(layer: Any) -> dict[str, Any]:
    """Return the Python numbers, flags and strings of a layer by their paths."""
    return dict(reachable(layer, lambda value: isinstance(value, SHARED)))


def bad() -> Case:
    import keras

    class Counted(keras.layers.Layer):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.calls = 0

        def call(self, inputs):
            self.calls += 1
            return inputs * 2.0

    return Case(Counted, inputs=(None, 5))


def good() -> Case:
    import keras

    class Uncounted(keras.layers.Layer):
        def call(self, inputs):
            return inputs * 2.0

    return Case(Uncounted, inputs=(None, 5))
