"""LW803."""

from typing import Any

from layerwright.checks.tracing._programs import modes
from layerwright.core.case import Case
from layerwright.core.check import check
from layerwright.core.finding import Finding, failed, passed
from layerwright.trial.models import build
from layerwright.trial.reachable import SHARED, reachable
from layerwright.trial.trial import Trial

FIX = (
    "Count and remember in a weight, self.add_weight(shape=(), dtype='int32', trainable=False), updated with assign(); "
    "leave Python attributes alone once the layer is built."
)


@check("LW803", "no-retracing", requires=("LW802", "LW804"), exempt={"stateful": True})
def no_retracing(trial: Trial) -> Finding:
    """A call changes no number, flag or string on the layer, so that no call needs a trace of its own.

    What it proves:
        Called again in the same way, in inference and where it acts otherwise in training, the layer has the same
        numbers, flags and strings within reach as before.

    Why it matters:
        `torch.compile` makes its program for the values that it found on the layer, and compiles anew when one has
        changed: a counter of calls costs a compilation at each step, until it gives up and runs eagerly. `tf.function`
        and `jax.jit` do not look again: there the counter counts traces, and stands still.

    How it is tested:
        Attributes, containers, plain objects and sublayers are searched for Python numbers, flags and strings before
        and after a repeated call; any that differs refutes; what is added is for LW1004 memory-is-steady to weigh. The
        calls are eager, so that no compiler's cache is in the way.

    Exempt when:
        The layer declares `stateful=True`.

    References:
        pytorch.org/docs, "Dealing with recompilations"; tensorflow.org/guide/function, "Controlling retracing" and
        "Executing Python side effects".
    """
    layer = build(trial, trial.construct())
    for training in modes(trial):
        trial.call(layer, trial.usual, training=training)
        before = _numbers(layer)
        trial.call(layer, trial.usual, training=training)
        after = _numbers(layer)
        changed = [
            f"{path} ({value!r}, then {after[path]!r})"
            for path, value in before.items()
            if path in after and repr(after[path]) != repr(value)  # what is added is LW1004's
        ]
        if changed:
            return failed(f"a repeated call with training={training} changed {', '.join(changed[:4])}", FIX)
    return passed(values=len(before))


def _numbers(layer: Any) -> dict[str, Any]:
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
