"""LW802 trace-is-deterministic."""

from layerwright.checks.tracing._programs import Untraceable, traces, training_modes
from layerwright.core.case import Case
from layerwright.core.check import check
from layerwright.core.finding import Finding, failed, inconclusive, passed
from layerwright.trial.trial import Trial

FIX = (
    "In `call()`, do not use values that change between calls: counters or flags on `self`, the clock, Python's or "
    "NumPy's random numbers, the order of a set. Keep state in `self.add_weight(…, trainable=False)`."
)


@check("LW802", "trace-is-deterministic", requires=("LW801", "LW903"))
def trace_is_deterministic(trial: Trial) -> Finding:
    """Tracing the layer twice gives the same program.

    What it proves:
        Two traces on the same inputs, each from a new function object, are equal line by line, including constants.

    Why it matters:
        A program is traced once and may run for days. Python code in `call` runs only during that trace: a counter
        stops, the time stays the same, and a random number drawn with NumPy becomes a constant. If traces differ, the
        model changes when it is loaded, retraced for another batch size, or traced on several hosts. Hosts that must
        run the same program then hang.

    How it is tested:
        The check traces the layer twice in a row, in inference and, if the layer behaves differently there, in
        training: to a graph, a jaxpr or an exported program. It uses a new function object each time, because the
        backends cache the trace of a function. Memory addresses and TensorFlow's serial numbers are ignored.

    Exempt when:
        Never.

    References:
        tensorflow.org/guide/function, "Executing Python side effects"; docs.jax.dev, "Common gotchas", on pure
        functions; docs.jax.dev, "Multi-controller JAX", on running the same computations in the same order.
    """
    for training in training_modes(trial):
        try:
            first, second = traces(trial, training).programs
        except Untraceable as reason:
            return inconclusive(str(reason))
        if first != second:
            lines, others = first.splitlines(), second.splitlines()
            return failed(
                f"two traces with training={training} gave different programs, of {len(lines)} and {len(others)} "
                "lines; expected the same program",
                FIX,
                first=_lines_not_in(others, lines)[:3],
                second=_lines_not_in(lines, others)[:3],
            )
    return passed()


def _lines_not_in(others: list[str], lines: list[str]) -> list[str]:
    known = set(others)
    return [line for line in lines if line not in known]


def bad() -> Case:
    import keras

    class Rectified(keras.layers.Layer):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.even = True

        def call(self, inputs):
            self.even = not self.even
            return keras.ops.relu(inputs) if self.even else keras.ops.maximum(inputs, 0.0)

    return Case(Rectified, inputs=(None, 5))


def good() -> Case:
    import keras

    class Rectified(keras.layers.Layer):
        def call(self, inputs):
            return keras.ops.relu(inputs)

    return Case(Rectified, inputs=(None, 5))
