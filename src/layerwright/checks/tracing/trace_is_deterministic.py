"""LW802."""

from layerwright.checks.tracing._programs import Untraceable, modes, traces
from layerwright.core.case import Case
from layerwright.core.check import check
from layerwright.core.finding import Finding, failed, inconclusive, passed
from layerwright.trial.trial import Trial

FIX = (
    "Let call() read nothing that a call changes: no counter or flag on self, no clock, no Python or NumPy random "
    "number, no set to iterate over; keep state in self.add_weight(…, trainable=False)."
)


@check("LW802", "trace-is-deterministic", requires=("LW801",))
def trace_is_deterministic(trial: Trial) -> Finding:
    """Traced twice, the layer gives the same program.

    What it proves:
        Two traces on the same inputs, each of a function object of its own, are equal line for line, constants
        included.

    Why it matters:
        A program is traced once and run for days. What Python does in `call` happens in that one trace: a counter
        stands still, a clock stops, a random number drawn with NumPy becomes a constant. Where traces differ, a model
        that is loaded, retraced for another batch size or traced on each of several hosts is another model; hosts that
        must run the same program hang.

    How it is tested:
        The layer is traced twice in a row, in inference and where it acts otherwise in training: to a graph, a jaxpr
        or an exported program. Each time the function is a new one, since the backends would answer for the same
        function with the trace they have. Addresses and TensorFlow's serial numbers are left out.

    Exempt when:
        Never.

    References:
        tensorflow.org/guide/function, "Executing Python side effects"; docs.jax.dev, "Common gotchas": pure functions;
        docs.jax.dev, "Multi-controller JAX", on running the same computations in the same order.
    """
    for training in modes(trial):
        try:
            first, second = traces(trial, training).programs
        except Untraceable as reason:
            return inconclusive(str(reason))
        if first != second:
            lines, others = first.splitlines(), second.splitlines()
            return failed(
                f"two traces in a row, training={training}, gave programs of {len(lines)} and {len(others)} lines that "
                "are not the same; expected one program",
                FIX,
                first=_without(lines, others)[:3],
                second=_without(others, lines)[:3],
            )
    return passed()


def _without(lines: list[str], others: list[str]) -> list[str]:
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
