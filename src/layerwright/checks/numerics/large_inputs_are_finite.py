"""LW504."""

import numpy as np

from layerwright.core.case import Case
from layerwright.core.check import check
from layerwright.core.finding import Finding, failed, passed, skipped
from layerwright.trial.arguments import Arguments, Array
from layerwright.trial.inputs import has_unbounded_floats, is_bounded, is_float, specs
from layerwright.trial.slices import Call
from layerwright.trial.subject import caller, lively
from layerwright.trial.trial import Trial

SCALE = 100.0
HALVINGS = 12
OVERFLOWING = 1e30


@check("LW504", "large-inputs-are-finite", requires=("LW901",))
def large_inputs_are_finite(trial: Trial) -> Finding:
    """Outputs stay finite for inputs that are a hundred times as large as usual.

    What it proves:
        No output that is finite at ordinary inputs becomes NaN or infinite at inputs times 100, unless its true value
        exceeds the range of float32.

    Why it matters:
        exp(89) is infinite in float32. A softmax that does not subtract the maximum, log(1 + exp(x)) and
        exp(x) / (1 + exp(x)) work on ordinary data, but give inf or NaN at the first outlier.

    How it is tested:
        The layer is called in inference mode on the usual inputs and on the same inputs times 100. If an output is
        no longer finite, bisection finds the largest scale at which all outputs are finite. If outputs exceed 1e30 at
        that scale, as those of exp do, their true values overflow, and the layer passes. If they are ordinary numbers,
        it fails.

    Exempt when:
        Never. Skipped if the case bounds all floating-point inputs or there are none, or if the layer computes in
        float16.

    References:
        Goodfellow, Bengio and Courville 2016, "Deep Learning", section 4.1; Blanchard, Higham and Higham 2021,
        "Accurately computing the log-sum-exp and softmax functions", IMA Journal of Numerical Analysis 41(4).
    """
    if not has_unbounded_floats(trial):
        return skipped("the layer has no floating-point inputs, or the case bounds them")
    if lively(trial).compute_dtype == "float16":
        return skipped("the layer computes in float16, whose largest number is 65504")
    call = caller(trial, False)
    usual = call(trial.usual)
    lost = _count_no_longer_finite(usual, call(scaled_inputs(trial, SCALE)))
    if not lost:
        return passed(scale=SCALE)
    low, high = _largest_finite_scale(trial, call, usual, 1.0, SCALE)
    outputs, lost = call(scaled_inputs(trial, low)), _count_no_longer_finite(usual, call(scaled_inputs(trial, high)))
    largest = _largest_value(outputs)
    if largest >= OVERFLOWING:
        return passed(f"the true output values exceed the range of float32 from inputs times {high:.3g} on")
    return failed(
        f"with inputs multiplied by {high:.3g}, {lost} of {sum(output.size for output in usual)} output values are NaN "
        f"or infinite; expected finite values, because just below that factor no output value exceeds {largest:.3g}",
        "Use `ops.softmax`, `ops.log_softmax`, `ops.logsumexp`, `ops.softplus` or `ops.sigmoid`, which do not "
        "overflow, or subtract the maximum before `ops.exp`. Add logarithms instead of multiplying many numbers.",
        finite_up_to=low,
    )


def truly_overflows(trial: Trial, call: Call, low: float, high: float) -> bool:
    """Whether outputs that are finite at inputs times `low`, but not times `high`, exceed the range of the dtype."""
    low, _ = _largest_finite_scale(trial, call, call(scaled_inputs(trial, low)), low, high)
    return _largest_value(call(scaled_inputs(trial, low))) >= OVERFLOWING


def are_finite(outputs: list[Array]) -> bool:
    """Whether no output value is NaN or infinite."""
    return all(bool(np.isfinite(output).all()) for output in outputs if output.dtype.kind == "f")


def _largest_finite_scale(trial: Trial, call: Call, usual: list[Array], low: float, high: float) -> tuple[float, float]:
    """Narrow the scales between which values that are finite in `usual` become NaN or infinite."""
    for _ in range(HALVINGS):
        middle = (low * high) ** 0.5
        overflows = _count_no_longer_finite(usual, call(scaled_inputs(trial, middle))) > 0
        low, high = (low, middle) if overflows else (middle, high)
    return low, high


def _largest_value(outputs: list[Array]) -> float:
    return max(float(np.abs(output[np.isfinite(output)]).max(initial=0.0)) for output in outputs)


def scaled_inputs(trial: Trial, scale: float) -> Arguments:
    """Return the usual arguments, with floats that the case does not bound multiplied by `scale`."""
    pairs = zip(specs(trial), trial.usual.arrays(), strict=True)
    scaled = [
        (array * scale).astype(array.dtype) if is_float(spec) and not is_bounded(spec) else array
        for spec, array in pairs
    ]
    return trial.usual.replace_arrays(scaled)


def _count_no_longer_finite(usual: list[Array], outputs: list[Array]) -> int:
    """Count the values that are finite in the usual outputs but not in these."""
    pairs = [(a, b) for a, b in zip(usual, outputs, strict=True) if a.dtype.kind == "f" and a.shape == b.shape]
    return sum(int((np.isfinite(a) & ~np.isfinite(b)).sum()) for a, b in pairs)


def bad() -> Case:
    import keras

    class Softplus(keras.layers.Layer):
        def call(self, inputs):
            return keras.ops.log(1.0 + keras.ops.exp(inputs))

    return Case(Softplus, inputs=(None, 5))


def good() -> Case:
    import keras

    class Softplus(keras.layers.Layer):
        def call(self, inputs):
            return keras.ops.softplus(inputs)

    return Case(Softplus, inputs=(None, 5))
