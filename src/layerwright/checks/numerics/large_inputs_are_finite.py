"""LW504."""

import numpy as np

from layerwright.core.case import Case
from layerwright.core.check import check
from layerwright.core.finding import Finding, failed, passed, skipped
from layerwright.trial.arguments import Arguments, Array
from layerwright.trial.inputs import has_unbounded_floats, is_bounded, is_float, specs
from layerwright.trial.subject import caller, lively
from layerwright.trial.trial import Trial

SCALE = 100.0
HALVINGS = 12
OVERFLOWING = 1e30


@check("LW504", "large-inputs-are-finite", requires=("LW901",))
def large_inputs_are_finite(trial: Trial) -> Finding:
    """Outputs stay finite when inputs are a hundred times as large as usual.

    What it proves:
        No output that is finite at ordinary inputs turns NaN or infinite at inputs times 100, unless its true value
        is past what float32 holds.

    Why it matters:
        exp(89) is infinite in float32. A softmax without the maximum taken out, log(1 + exp(x)) and
        exp(x) / (1 + exp(x)) work on the data they were tried on, and give inf or NaN on the first outlier.

    How it is tested:
        The layer is called in inference on the usual inputs and on the same inputs times 100. If an output overflows,
        the largest scale at which all were finite is found by halving: a layer whose outputs had by then grown past
        1e30, as exp itself, overflows because its values do, and passes; one whose outputs were ordinary is failed.

    Exempt when:
        Never; skipped where no float goes in whose range the case leaves open, and for layers that compute in float16.

    References:
        Goodfellow, Bengio and Courville 2016, "Deep Learning", section 4.1; Blanchard, Higham and Higham 2021,
        "Accurately computing the log-sum-exp and softmax functions", IMA Journal of Numerical Analysis 41(4).
    """
    if not has_unbounded_floats(trial):
        return skipped("the layer is fed no floating-point numbers, or the case bounds them")
    if lively(trial).compute_dtype == "float16":
        return skipped("the layer computes in float16, which holds no number past 65504")
    call = caller(trial, False)
    usual = call(trial.usual)
    lost = _lost(usual, call(_scaled(trial, SCALE)))
    if not lost:
        return passed(scale=SCALE)
    low, high = 1.0, SCALE
    for _ in range(HALVINGS):
        middle = (low * high) ** 0.5
        low, high = (low, middle) if _lost(usual, call(_scaled(trial, middle))) else (middle, high)
    largest = max(float(np.abs(output[np.isfinite(output)]).max(initial=0.0)) for output in call(_scaled(trial, low)))
    if largest >= OVERFLOWING:
        return passed(f"the outputs themselves grow past what float32 holds, from inputs times {high:.3g} on")
    return failed(
        f"{lost} of {sum(output.size for output in usual)} output values turned NaN or infinite at inputs times "
        f"{high:.3g}; at times {low:.3g} the largest was {largest:.3g}",
        "Take the maximum out before exp (ops.softmax, ops.logsumexp, ops.softplus, ops.log_softmax and ops.sigmoid "
        "do), and compute with logarithms rather than with products of many numbers.",
        finite_up_to=low,
    )


def _scaled(trial: Trial, scale: float) -> Arguments:
    pairs = zip(specs(trial), trial.usual.arrays(), strict=True)
    scaled = [
        (array * scale).astype(array.dtype) if is_float(spec) and not is_bounded(spec) else array
        for spec, array in pairs
    ]
    return trial.usual.replace_arrays(scaled)


def _lost(usual: list[Array], outputs: list[Array]) -> int:
    """Count the values that were finite and are not any more."""
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
