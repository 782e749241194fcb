"""LW804."""

from contextlib import suppress

from layerwright.checks.tracing._programs import Untraceable, leaks, modes, traces
from layerwright.core.case import Case
from layerwright.core.check import check
from layerwright.core.errors import LayerError
from layerwright.core.finding import Finding, failed, passed
from layerwright.trial.trial import Trial

LEAK_FIX = (
    "Do not assign to self what call() computes: return it, hand it on as an argument, or keep it in a weight with "
    "self.add_weight(…, trainable=False) and assign()."
)
CALLBACK_FIX = "Write the step with keras.ops; what only Python can do belongs into the input pipeline."


@check("LW804", "nothing-leaks-from-a-trace", requires=("LW801",))
def nothing_leaks_from_a_trace(trial: Trial) -> Finding:
    """A trace leaves nothing on the layer, and its program never goes back to Python.

    What it proves:
        After the layer was traced and called symbolically, no tensor of a trace is within reach of it; and its program
        holds no callback to the host.

    Why it matters:
        A tensor in a trace has no value. Kept on `self`, it keeps the whole graph alive, and the next one to read it
        gets an error far from the cause: a tracer that escaped, a tensor out of scope. A callback makes every step
        wait for Python, works on no TPU and in no exported file.

    How it is tested:
        A new layer is called on `KerasTensor`s; another is built and traced, in inference and where it acts otherwise
        in training. Attributes, containers, plain objects and sublayers are searched for tensors of a trace. The
        traced program is searched for `tf.py_function`, `jax.pure_callback` and `jax.experimental.io_callback`;
        torch.export refuses what would need one.

    Exempt when:
        Never.

    References:
        docs.jax.dev, "JAX errors": UnexpectedTracerError; tensorflow.org/guide/function, "All outputs of a tf.function
        must be return values"; keras.io, "Making new layers and models via subclassing".
    """
    layer = trial.construct()
    with suppress(LayerError):  # that it can be called symbolically is LW201's to prove
        trial.symbolic_call(layer)
    found = leaks(trial, layer)
    for training in modes(trial):
        with suppress(Untraceable):
            traced = traces(trial, training)
            if calls := [name for name in trial.backend.HOST_CALLS if name in traced.programs[0]]:
                return failed(f"the program calls back to Python ({', '.join(calls)}); expected none", CALLBACK_FIX)
            found += traced.leaks
    if found:
        paths = ", ".join(sorted(set(found))[:4])
        return failed(f"after a trace, tensors without a value are kept in {paths}; expected none", LEAK_FIX)
    return passed()


def bad() -> Case:
    import keras

    class Attends(keras.layers.Layer):
        def call(self, inputs):
            self.scores = keras.ops.softmax(inputs)
            return inputs * self.scores

    return Case(Attends, inputs=(None, 5))


def good() -> Case:
    import keras

    class Attends(keras.layers.Layer):
        def call(self, inputs):
            scores = keras.ops.softmax(inputs)
            return inputs * scores

    return Case(Attends, inputs=(None, 5))
