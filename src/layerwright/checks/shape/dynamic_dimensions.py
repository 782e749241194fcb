"""LW202 dynamic-dimensions."""

from layerwright.checks.shape._unknown import FreeAxes, TracingFailed, run_traced
from layerwright.core.case import Case
from layerwright.core.check import check
from layerwright.core.errors import LayerError, quote
from layerwright.core.finding import Finding, Outcome, failed, inconclusive, passed
from layerwright.trial.compare import largest_difference
from layerwright.trial.subject import caller, draws, tolerance
from layerwright.trial.trial import Trial

FIX = (
    "Read sizes with `ops.shape(x)[axis]`, and use -1 for at most one size of a reshape. If `call` must loop or branch "
    "on a size, use `ops.scan`, `ops.while_loop` or `ops.cond`, or give that axis a size in the case."
)


@check("LW202", "dynamic-dimensions", requires=("LW201",), exempt={"fixed_shape": True})
def dynamic_dimensions(trial: Trial) -> Finding:
    """The layer can be called and traced while the batch size and the sizes of free axes are unknown.

    What it proves:
        The layer can be called symbolically with the batch axis and the case's free axes unknown. A program that is
        traced with these sizes unknown computes what the layer computes eagerly.

    Why it matters:
        `keras.Input((10, 5))` leaves the batch size unknown. So do a `tf.data` pipeline with a partial last batch and
        every exported model. A layer that turns a size into a Python number works in a notebook. In use it raises an
        error, or is correct for one batch size only.

    How it is tested:
        The layer is called on `KerasTensor`s. Then it is traced, on TensorFlow with `None` in the signature, on JAX by
        shape polymorphism, on torch by an export with a dynamic batch axis, and run on the usual inputs. A failed trace
        fails the check if tracing with all sizes known succeeds and, on JAX and torch, the layer's own code asked for
        the batch size. The result is inconclusive where a function of Keras or of the framework asked for it, and where
        JAX asked for another size, because JAX traces anew for each length.

    Exempt when:
        The layer declares `fixed_shape=True`.

    References:
        keras.io/guides/functional_api; "Export" and "Shape polymorphism" in the JAX documentation; torch.export on
        dynamic shapes.
    """
    specs = list(trial.case.specs())
    batch = [[0] for _ in specs]
    free = [[axis for axis, size in enumerate(spec.shape) if axis == 0 or size is None] for spec in specs]
    try:
        trial.symbolic_call(trial.construct())
    except LayerError as error:
        return failed(
            f"{error.doing} with {_describe_axes(free)} unknown raised {quote(error.error)}; expected no error", FIX
        )
    if trial.backend.NAME == "torch":
        # Torch traces anew for each length.
        free = batch
    try:
        return _compare_traced_with_eager(trial, free)
    except TracingFailed as failure:
        if free == batch or trial.backend.NAME == "tensorflow":
            return _judge_failed_trace(trial, free, failure)
        failure_beyond_batch = failure
    try:
        found = _compare_traced_with_eager(trial, batch)
    except TracingFailed as failure:
        return _judge_failed_trace(trial, batch, failure)
    if found.outcome is not Outcome.PASSED:
        return found
    return inconclusive(
        f"traced with {_describe_axes(batch)} unknown, the layer computes what it computes eagerly; with "
        f"{_describe_axes(free)} unknown, tracing raised {quote(failure_beyond_batch.error)}"
    )


def _compare_traced_with_eager(trial: Trial, axes: FreeAxes) -> Finding:
    outputs, eager = run_traced(trial, axes), caller(trial, False)(trial.usual)
    difference, allowed = largest_difference(eager, outputs), tolerance(trial)
    if difference <= allowed:
        return passed(difference=difference)
    shapes, wanted = [array.shape for array in outputs], [array.shape for array in eager]
    if shapes == wanted and draws(trial):
        return inconclusive(
            "two calls on the same inputs differ: the layer draws random numbers or keeps state in inference"
        )
    if shapes != wanted:
        seen = f"outputs have shapes {shapes}; expected {wanted}, as eagerly"
    else:
        seen = f"outputs differ from the eager ones by {difference:.3g} of their scale; expected at most {allowed:g}"
    return failed(f"traced with {_describe_axes(axes)} unknown, {seen}", FIX)


def _judge_failed_trace(trial: Trial, axes: FreeAxes, failure: TracingFailed) -> Finding:
    seen = f"tracing with {_describe_axes(axes)} unknown raised {quote(failure.error)}"
    if not failure.own and trial.backend.NAME != "tensorflow":
        return inconclusive(f"{seen}, in a function of Keras or {trial.backend.NAME}, not in the layer's own code")
    try:
        run_traced(trial, [[] for _ in axes])
    except TracingFailed as known:
        return inconclusive(f"the layer cannot be traced even with all sizes known: {quote(known.error)}")
    return failed(f"{seen}; with all sizes known, tracing succeeds", FIX)


def _describe_axes(free_axes: FreeAxes) -> str:
    axes = sorted({axis for axes in free_axes for axis in axes} - {0})
    return "the batch axis" + (f" and axis {', '.join(map(str, axes))}" if axes else "")


def bad() -> Case:
    import keras

    class FlattensByNumber(keras.layers.Layer):
        def call(self, inputs):
            samples = int(inputs.shape[0])
            return keras.ops.reshape(inputs, (samples, 6 * 5))

    return Case(FlattensByNumber, inputs=(None, 6, 5))


def good() -> Case:
    import keras

    class Flattens(keras.layers.Layer):
        def call(self, inputs):
            return keras.ops.reshape(inputs, (keras.ops.shape(inputs)[0], 6 * 5))

    return Case(Flattens, inputs=(None, 6, 5))
