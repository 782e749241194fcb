"""LW202."""

from layerwright.checks.shape._unknown import FreeAxes, Refusal, traced
from layerwright.core.case import Case
from layerwright.core.check import check
from layerwright.core.errors import LayerError, quote
from layerwright.core.finding import Finding, Outcome, failed, inconclusive, passed
from layerwright.trial.compare import largest_difference
from layerwright.trial.subject import caller, draws, tolerance
from layerwright.trial.trial import Trial

FIX = (
    "Ask for sizes with ops.shape(x)[axis] and leave one to -1 in a reshape; where call must loop or branch on a size, "
    "use ops.scan, ops.while_loop or ops.cond, or give that axis a size in the case."
)


@check("LW202", "dynamic-dimensions", requires=("LW201",), exempt={"fixed_shape": True})
def dynamic_dimensions(trial: Trial) -> Finding:
    """Every dimension that may be None may be None: the layer can be traced before the batch size is known.

    What it proves:
        The layer can be called symbolically with an unknown batch axis and the case's free axes unknown, and a
        program traced with these sizes unknown computes what the layer computes eagerly.

    Why it matters:
        `keras.Input((10, 5))` leaves the batch size unknown; so do a `tf.data` pipeline with a partial last batch
        and every exported model. A layer that turns a size into a Python number works in a notebook, and breaks,
        or answers for one batch size only, when it is put to use.

    How it is tested:
        Symbolically, on `KerasTensor`s. Traced: TensorFlow with `None` in the signature, JAX by shape polymorphism,
        torch by an export with the batch axis dynamic; then run on the usual inputs. A trace that fails is held
        against the layer if one with all sizes known succeeds and, on JAX and torch, the layer's own code asked for
        the batch size. Where a function of Keras or of the framework did, or where JAX asked for another size (it
        traces anew for each length), it is reported as not probed.

    Exempt when:
        The layer declares `fixed_shape`.

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
        return failed(f"{error.doing} with {_named(free)} unknown raised {quote(error.error)}", FIX)
    if trial.backend.NAME == "torch":
        free = batch  # torch traces anew for each length
    try:
        return _compared(trial, free)
    except Refusal as refusal:
        if free == batch or trial.backend.NAME == "tensorflow":
            return _refused(trial, free, refusal)
        beyond = refusal
    try:
        found = _compared(trial, batch)
    except Refusal as refusal:
        return _refused(trial, batch, refusal)
    if found.outcome is not Outcome.PASSED:
        return found
    return inconclusive(
        f"traced with {_named(batch)} unknown the layer agrees; with {_named(free)} unknown, tracing raised "
        f"{quote(beyond.error)}"
    )


def _compared(trial: Trial, axes: FreeAxes) -> Finding:
    outputs, eager = traced(trial, axes), caller(trial, False)(trial.usual)
    difference, allowed = largest_difference(eager, outputs), tolerance(trial)
    if difference <= allowed:
        return passed(difference=difference)
    shapes, wanted = [array.shape for array in outputs], [array.shape for array in eager]
    if shapes == wanted and draws(trial):
        return inconclusive("two calls of the layer differ: it draws random numbers, or keeps state, in inference")
    seen = f"gives shapes {shapes}, eagerly {wanted}" if shapes != wanted else f"differs by {difference:.3g} of scale"
    return failed(
        f"traced with {_named(axes)} unknown, the layer {seen}; expected what it computes eagerly, to {allowed:g}", FIX
    )


def _refused(trial: Trial, axes: FreeAxes, refusal: Refusal) -> Finding:
    said = f"tracing with {_named(axes)} unknown raised {quote(refusal.error)}"
    if not refusal.own and trial.backend.NAME != "tensorflow":
        return inconclusive(f"{said}, in a function of Keras or {trial.backend.NAME}, not in the layer's own code")
    try:
        traced(trial, [[] for _ in axes])
    except Refusal as known:
        return inconclusive(f"the layer cannot be traced even with every size known: {quote(known.error)}")
    return failed(f"{said}; with every size known tracing succeeds", FIX)


def _named(free_axes: FreeAxes) -> str:
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
