"""LW205."""

from typing import Any

from layerwright.checks.shape._shapes import Spec, agrees, specs_at, specs_by_trace
from layerwright.core.case import Case
from layerwright.core.check import check
from layerwright.core.errors import LayerError, quote
from layerwright.core.finding import Finding, failed, inconclusive, passed
from layerwright.trial.subject import lively
from layerwright.trial.tracebacks import is_asked_by_layer, keras_functions, stack_of, whole_tracebacks
from layerwright.trial.trial import Trial

REARRANGING = (":reshape", ":stack", ":take")
"""Keras functions that refuse an empty batch only where their other arguments leave them no answer."""

MAPPING = ("ops/core.py", "torch/core.py", "tensorflow/core.py", "jax/core.py")
"""Where Keras's functions are that run a function of the layer's on tensors of their own making."""

FIX = (
    "Take sizes from ops.shape(x) instead of from the first sample, leave at most the batch axis to -1 in a reshape, "
    "and stack over axes that are never empty."
)


@check("LW205", "empty-batch", requires=("LW202",), exempt={"batch": "coupled", "fixed_shape": True})
def empty_batch(trial: Trial) -> Finding:
    """A batch of no samples gives outputs of no rows, with the usual trailing sizes and dtype.

    What it proves:
        Called on a batch of 0, the layer raises nothing and returns tensors of shape (0, …).

    Why it matters:
        The last batch of an epoch, split over devices, leaves some with nothing; a mask or a router may select no
        sample. One device that raises, or returns another rank, stops them all.

    How it is tested:
        A built layer is called on a batch of 0. Some kernels of the frameworks refuse it, or answer with wrong
        shapes (convolutions of TensorFlow on CPU do both), which no layer can help. So an exception is held against
        the layer only if its own code raised it, or gave a framework's indexing or a reshape, stack or take of Keras
        what has no answer, and a trace at batch 0, in which no kernel runs, fails too; a wrong shape only if that
        trace gives it as well. What remains is reported as not probed.

    Exempt when:
        The layer declares `batch="coupled"` or `fixed_shape`.

    References:
        keras.io/guides/distributed_training_with_tensorflow, on global batches that do not divide evenly.
    """
    usual, samples = specs_at(trial, trial.usual), trial.usual.batch
    wanted = [Spec((0, *one.shape[1:]), one.dtype) if one.shape[:1] == (samples,) else one for one in usual]
    try:
        found = specs_at(trial, trial.arguments(0))
    except LayerError as error:
        return _raised(trial, error)
    wrong = [place for place, pair in enumerate(zip(found, wanted, strict=False)) if pair[0] != pair[1]]
    if not wrong and len(found) == len(wanted):
        return passed()
    said = f"on a batch of 0 the layer gives {_list(found)}; expected {_list(wanted)}"
    traced = _traced(trial)
    if traced is None or len(traced) != len(wanted) or not all(map(_fits, traced, wanted)):
        return failed(said, FIX)
    return inconclusive(f"{said}; its trace does give that, so a kernel of {trial.backend.NAME} is at fault")


def _raised(trial: Trial, error: LayerError) -> Finding:
    said = f"on a batch of 0 the layer raised {quote(error.error)}"
    layer = lively(trial)
    try:
        with whole_tracebacks():
            trial.call(layer, trial.arguments(0), training=False)
    except LayerError as again:
        if _of_its_own(again.error, layer) and _traced(trial) is None:
            return failed(said, FIX)
    return inconclusive(f"{said}, in a function of Keras or {trial.backend.NAME}, not in the layer's own code")


def _of_its_own(error: BaseException, layer: Any) -> bool:
    """Whether the layer's own code is at fault. Kernels of torch raise plain RuntimeErrors, and leave no frame."""
    stack = stack_of(error, layer)
    if is_asked_by_layer(stack):
        mapped = any(name.startswith(MAPPING) for name in keras_functions(stack))
        return type(error) is not RuntimeError and not mapped
    after = [place for place, (_, owner) in enumerate(stack) if owner == "layer"][-1:]
    called = keras_functions(stack[after[0] :]) if after else []
    return bool(called) and called[0].endswith(REARRANGING)


def _traced(trial: Trial) -> list[Spec] | None:
    """Return the specs that a trace at batch 0 gives; None if tracing raises."""
    try:
        return specs_by_trace(trial, lively(trial), trial.arguments(0))
    except Exception:  # whatever the layer raises, it has no answer
        return None


def _fits(traced: Spec, wanted: Spec) -> bool:
    return agrees(traced.shape, wanted.shape) and traced.dtype == wanted.dtype


def _list(found: list[Spec]) -> str:
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
