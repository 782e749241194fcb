"""LW205 empty-batch."""

from typing import Any

from layerwright.checks.shape._shapes import Spec, output_specs_at, shapes_agree, traced_output_specs
from layerwright.core.case import Case
from layerwright.core.check import check
from layerwright.core.errors import LayerError, quote
from layerwright.core.finding import Finding, failed, inconclusive, passed
from layerwright.trial.subject import lively
from layerwright.trial.tracebacks import is_asked_by_layer, keras_functions, stack_of, whole_tracebacks
from layerwright.trial.trial import Trial

FAILS_ON_BAD_ARGUMENTS = (":reshape", ":stack", ":take")
"""Keras functions that raise on an empty batch only if their other arguments allow no result."""

CALLS_USER_FUNCTIONS = ("ops/core.py", "torch/core.py", "tensorflow/core.py", "jax/core.py")
"""Files of the Keras functions that call a function of the layer on tensors that they create themselves."""

FIX = (
    "Read sizes from `ops.shape(x)` instead of from the first sample. In a reshape, use -1 only for the batch axis. "
    "Stack only over axes that are never empty."
)


@check("LW205", "empty-batch", requires=("LW202",), exempt={"batch": "coupled", "fixed_shape": True})
def empty_batch(trial: Trial) -> Finding:
    """An empty batch gives empty outputs, with the usual dtype and the usual sizes of all other axes.

    What it proves:
        On a batch of 0 samples, the layer raises no error and returns tensors of shape (0, …).

    Why it matters:
        When the last batch of an epoch is split over devices, some devices may get no sample. A mask or a router may
        select no sample. One device that raises an error, or returns another rank, stops all of them.

    How it is tested:
        A built layer is called on a batch of 0. Some kernels of the frameworks raise an error or return wrong shapes
        (TensorFlow's convolutions on CPU do both), and no layer can avoid that. So an exception fails the check only
        under two conditions. First, the layer's own code raised it, or passed impossible arguments to the framework's
        indexing or to Keras's `reshape`, `stack` or `take`. Second, a trace at batch 0, in which no kernel runs, fails
        too. A wrong shape fails the check only if that trace gives it as well. All other results are inconclusive.

    Exempt when:
        The layer declares `batch="coupled"` or `fixed_shape=True`.

    References:
        keras.io/guides/distributed_training_with_tensorflow, on global batches that do not divide evenly.
    """
    usual, samples = output_specs_at(trial, trial.usual), trial.usual.batch
    wanted = [Spec((0, *one.shape[1:]), one.dtype) if one.shape[:1] == (samples,) else one for one in usual]
    try:
        found = output_specs_at(trial, trial.arguments(0))
    except LayerError as error:
        return _judge_exception(trial, error)
    wrong = [place for place, pair in enumerate(zip(found, wanted, strict=False)) if pair[0] != pair[1]]
    if not wrong and len(found) == len(wanted):
        return passed()
    seen = f"on a batch of 0, the layer returned {_join_specs(found)}; expected {_join_specs(wanted)}"
    traced = _specs_traced_at_batch_zero(trial)
    if traced is None or len(traced) != len(wanted) or not all(map(_spec_fits, traced, wanted)):
        return failed(seen, FIX)
    return inconclusive(f"{seen}; tracing gives the expected shapes, so the cause is a kernel of {trial.backend.NAME}")


def _judge_exception(trial: Trial, error: LayerError) -> Finding:
    seen = f"on a batch of 0, the layer raised {quote(error.error)}"
    layer = lively(trial)
    try:
        with whole_tracebacks():
            trial.call(layer, trial.arguments(0), training=False)
    except LayerError as again:
        if _is_fault_of_layer(again.error, layer) and _specs_traced_at_batch_zero(trial) is None:
            return failed(f"{seen}; expected empty outputs", FIX)
    return inconclusive(f"{seen}, in a function of Keras or {trial.backend.NAME}, not in the layer's own code")


def _is_fault_of_layer(error: BaseException, layer: Any) -> bool:
    """Whether the layer's own code caused the error.

    Kernels of torch raise plain RuntimeErrors and leave no frame.
    """
    stack = stack_of(error, layer)
    if is_asked_by_layer(stack):
        mapped = any(name.startswith(CALLS_USER_FUNCTIONS) for name in keras_functions(stack))
        return type(error) is not RuntimeError and not mapped
    after = [place for place, (_, owner) in enumerate(stack) if owner == "layer"][-1:]
    called = keras_functions(stack[after[0] :]) if after else []
    return bool(called) and called[0].endswith(FAILS_ON_BAD_ARGUMENTS)


def _specs_traced_at_batch_zero(trial: Trial) -> list[Spec] | None:
    """Return the specs that a trace at batch 0 gives; None if tracing raises."""
    try:
        return traced_output_specs(trial, lively(trial), trial.arguments(0))
    # A layer may raise anything under a trace. Here it only means that there are no specs.
    except Exception:
        return None


def _spec_fits(traced: Spec, wanted: Spec) -> bool:
    return shapes_agree(traced.shape, wanted.shape) and traced.dtype == wanted.dtype


def _join_specs(found: list[Spec]) -> str:
    return " and ".join(map(str, found))


def bad() -> Case:
    import keras

    class LooksAtFirstSample(keras.layers.Layer):
        def call(self, inputs):
            steps, features = inputs[0].shape
            return keras.ops.reshape(inputs, (-1, steps * features))

    return Case(LooksAtFirstSample, inputs=(None, 6, 5))


def good() -> Case:
    import keras

    class LooksAtSizes(keras.layers.Layer):
        def call(self, inputs):
            steps, features = inputs.shape[1:]
            return keras.ops.reshape(inputs, (-1, steps * features))

    return Case(LooksAtSizes, inputs=(None, 6, 5))
