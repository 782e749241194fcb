"""LW804 nothing-leaks-from-a-trace."""

from contextlib import suppress

from layerwright.checks.tracing._programs import Untraceable, symbolic_tensor_paths, traces, training_modes
from layerwright.core.case import Case
from layerwright.core.check import check
from layerwright.core.errors import LayerError
from layerwright.core.finding import Finding, failed, passed
from layerwright.trial.trial import Trial

LEAK_FIX = (
    "Do not assign tensors to `self` in `call()`. Return the tensor, pass it on as an argument, or store it in a "
    "weight made with `self.add_weight(…, trainable=False)`, using `assign()`."
)
CALLBACK_FIX = "Write this step with `keras.ops`, or move it to the input pipeline if only Python can do it."


@check("LW804", "nothing-leaks-from-a-trace", requires=("LW801",))
def nothing_leaks_from_a_trace(trial: Trial) -> Finding:
    """Tracing leaves no symbolic tensor on the layer, and the traced program does not call Python.

    What it proves:
        After tracing and after a symbolic call, the layer keeps no tensor of the trace. The traced program contains no
        callback to Python.

    Why it matters:
        A tensor in a trace has no value. If the layer keeps it on `self`, the whole graph stays in memory. Code that
        reads the tensor later raises an error far from the cause, such as `UnexpectedTracerError`. A callback makes
        every step wait for Python, and it works neither on TPUs nor in exported models.

    How it is tested:
        The check calls a new layer on `KerasTensor`s. It builds another layer and traces it in inference and, if the
        layer behaves differently there, in training. It then searches attributes, containers, plain objects and
        sublayers for symbolic tensors. It searches the traced program for `tf.py_function`, `jax.pure_callback` and
        `jax.experimental.io_callback`. `torch.export` rejects code that would need a callback.

    Exempt when:
        Never.

    References:
        docs.jax.dev, "JAX errors", `UnexpectedTracerError`; tensorflow.org/guide/function, "All outputs of a
        tf.function must be return values"; keras.io, "Making new layers and models via subclassing".
    """
    layer = trial.construct()
    # LW201 checks that the layer can be called symbolically.
    with suppress(LayerError):
        trial.symbolic_call(layer)
    found = symbolic_tensor_paths(trial, layer)
    for training in training_modes(trial):
        with suppress(Untraceable):
            traced = traces(trial, training)
            if calls := [name for name in trial.backend.HOST_CALLS if name in traced.programs[0]]:
                return failed(
                    f"the traced program calls Python ({', '.join(calls)}); expected no callback", CALLBACK_FIX
                )
            found += traced.leaks
    if found:
        paths = ", ".join(sorted(set(found))[:4])
        return failed(f"after tracing, the layer keeps symbolic tensors in {paths}; expected none", LEAK_FIX)
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
