"""LW505."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from layerwright.core.case import Case, InputSpec
from layerwright.core.check import check
from layerwright.core.errors import LayerError
from layerwright.core.finding import Finding, failed, inconclusive, passed
from layerwright.trial.arguments import Arguments, Array
from layerwright.trial.gradients import pure, tensors_of
from layerwright.trial.inputs import is_bounded, is_float, specs
from layerwright.trial.masks import EXPLICIT, Subject, subject, with_last_row_masked
from layerwright.trial.policies import LOW_PRECISION_POLICIES, tensor_caller, to_float64, version
from layerwright.trial.subject import lively
from layerwright.trial.trial import Trial, blaming, copy_weights, restore, snapshot

LONG = 1000
FEWER = 50
MOST_VALUES = 200_000
MOST_STRAYING = 0.1
"""The share of output entries that may differ by more than the tolerance."""
Call = Callable[[Arguments], list[Any]]
Error = dict[str, Any]
"""The largest error of an output, the allowed error, the error from rounding inputs and weights, and the scale."""
LIMITS = {"float16": (2.0**-10, 65504.0), "bfloat16": (2.0**-7, 3e38)}
"""The spacing of numbers at 1, and the largest number."""
NOT_FINITE = "NaN or infinite"
FIX = (
    "Accumulate in float32: cast to float32 before sums, means, variances and cumulative sums over long axes, and cast "
    "the result back. Use `ops.mean` instead of a sum divided by a count. Count positions in integers."
)
RANGE_FIX = (
    "The largest number in float16 is 65504. A constant such as -1e9 becomes minus infinity there, and infinity times "
    "0, or a softmax of nothing else, is NaN: mask scores with `ops.where(mask, scores, -3e4)` instead of adding a "
    "product. If no constant is that large, compute what overflows in float32, and cast the result back."
)


@check("LW505", "low-precision-tracks", requires=("LW601",), exempt={"stateful": True}, models="precision")
def low_precision_tracks(trial: Trial) -> Finding:
    """In float16 and bfloat16 the layer computes the same as in float32, up to the precision of the dtype.

    What it proves:
        With equal weights, the outputs under mixed_float16 and mixed_bfloat16 agree with those in float32, at ordinary
        inputs and, if the time axis is free, over 1000 steps.

    Why it matters:
        In float16 a sum above 65504 becomes infinite. In bfloat16 a running sum of ones stops at 256. A mean computed
        as sum divided by count, a position counted in the compute dtype, and a variance computed as E[x²] - E[x]² are
        accurate on the short inputs of a test, but not on the long inputs of the first training run in mixed precision.

    How it is tested:
        The effect of the dtype's precision is measured first: weights and inputs are rounded to the dtype, and the
        outputs are computed in float32. Under the policy, outputs may differ from float32 by four times the change that
        this rounding causes, plus 16 rounding errors of the largest output. A tenth of the entries may differ by more,
        because a maximum or a threshold can flip. None may be NaN or infinite, also if the layer takes a mask and one
        sample is fully masked. The long inputs have values between 50 and 150, so that sums over all steps overflow.
        They count only if inputs of that size pass at the usual length. They are left out if the layer does not accept
        them, or if the number of operations grows with the number of steps, as in a loop over time, because 1000 steps
        would take too long.

    Exempt when:
        The layer declares `stateful=True`. Inconclusive if the layer cannot be constructed or run under either policy.

    References:
        Higham 2002, "Accuracy and Stability of Numerical Algorithms", chapters 1 and 4; Micikevicius et al. 2018,
        "Mixed Precision Training", arXiv:1710.03740, section 3.3.
    """
    call = tensor_caller(trial, lively(trial))
    pairs = [_pair_or_reason(trial, call, policy) for policy in LOW_PRECISION_POLICIES]
    usable = [pair for pair in pairs if isinstance(pair, Pair)]
    if not usable:
        return inconclusive(str(pairs[0]))
    exact = to_float64(call(trial.usual))
    errors: list[Error] = []
    for pair in usable:
        problem = pair.describe_error(trial.usual, exact, "ordinary inputs", errors)
        if problem:
            return failed(f"at ordinary inputs {problem}", RANGE_FIX if NOT_FINITE in problem else FIX, errors=errors)
    problem = _problem_where_all_is_masked(trial, call, usable)
    if problem:
        return failed(f"with one sample fully masked, {problem}", RANGE_FIX, errors=errors)
    short, long = _with_large_values(trial, trial.usual), _long_arguments(trial, call)
    if long is None:
        return passed(steps="usual", errors=errors)
    exact_short, exact_long = to_float64(call(short)), to_float64(call(long))
    for pair in usable:
        problem = ""
        if not pair.describe_error(short, exact_short, "large inputs", errors):
            problem = pair.describe_error(long, exact_long, f"large inputs, {LONG} steps", errors)
        if problem:
            message = f"over {LONG} steps of inputs between 50 and 150 {problem} (over the usual few steps they agree)"
            return failed(message, FIX, errors=errors)
    return passed(steps=LONG, errors=errors)


@dataclass(frozen=True, eq=False)
class Pair:
    """The layer from `lively` under a low-precision policy, and in float32 with rounded weights and inputs.

    Attributes:
        dtype: The compute dtype of the policy.
        rounded: Takes arguments and returns the float32 outputs for weights and inputs rounded to `dtype`.
        low: Takes arguments and returns the outputs under the policy, with equal weights.
    """

    dtype: str
    rounded: Callable[[Arguments], list[Array]]
    low: Callable[[Arguments], list[Array]]

    def describe_error(self, arguments: Arguments, exact: list[Array], at: str, errors: list[Error]) -> str:
        """Say how the outputs under the policy differ from the exact outputs of float32; empty if they agree.

        The measurements of the output whose error is largest, relative to the allowed error, are added to `errors`.
        """
        measured: list[Error] = []
        problem = ""
        for triple in zip(exact, self.rounded(arguments), self.low(arguments), strict=True):
            problem = self._describe_output_error(*triple, measured)
            if problem:
                break
        if measured:
            worst = max(measured, key=lambda each: each["error"] / each["allowed"])
            errors.append({"name": f"{self.dtype}, {at}", **worst})
        return f"under mixed_{self.dtype}, {problem}" if problem else ""

    def _describe_output_error(self, exact: Array, rounded: Array, low: Array, measured: list[Error]) -> str:
        spacing, largest = LIMITS[self.dtype]
        judged = np.isfinite(exact) & np.isfinite(rounded) & (np.abs(exact) < largest / 2)
        exact, rounded, low = exact[judged], rounded[judged], low[judged]
        lost = int((~np.isfinite(low)).sum())
        scale, moved = (float(np.abs(each).max(initial=0.0)) for each in (exact, rounded - exact))
        allowed = 16 * spacing * scale + 4 * moved + 1e-6
        apart = np.abs(low - exact)
        error = float("inf") if lost else float(apart.max(initial=0.0))
        strays = lost or int((apart > allowed).sum())
        measured.append({"error": error, "allowed": allowed, "rounding": moved, "scale": scale, "strays": strays})
        if lost:
            return f"{lost} of {low.size} output values are {NOT_FINITE}; expected finite values, as in float32"
        if strays <= MOST_STRAYING * low.size:
            return ""
        return (
            f"{strays} of {low.size} output values differ from those in float32, by up to {apart.max():.3g}; expected "
            f"at most {allowed:.3g} (the largest value is {scale:.3g})"
        )


def _problem_where_all_is_masked(trial: Trial, call: Call, pairs: Sequence[Pair]) -> str:
    """Say which outputs are finite in float32 only, if the last sample is fully masked; empty if none are."""
    found = subject(trial)
    if not isinstance(found, Subject) or found.ways[0] != EXPLICIT:
        return ""
    _, emptied = found.masked([with_last_row_masked(mask) for mask in found.masks])
    exact = to_float64(call(emptied))
    for pair in pairs:
        values = zip(exact, pair.low(emptied), strict=True)
        lost = sum(int((np.isfinite(high) & ~np.isfinite(low)).sum()) for high, low in values)
        if lost:
            return (
                f"under mixed_{pair.dtype}, {lost} output values are {NOT_FINITE}; expected finite ones, as in float32"
            )
    return ""


def _pair_or_reason(trial: Trial, call: Call, policy: str) -> Pair | str:
    """Return the layer under a policy and in float32, or the reason why that is not possible."""
    found = version(trial, policy)
    if isinstance(found, str):
        return found
    layer, dtype = lively(trial), policy.removeprefix("mixed_")
    if layer.compute_dtype != "float32":
        return f"the layer computes in {layer.compute_dtype}, not in float32, without the policy too"
    copy_weights(layer, found.layer)

    def rounded(arguments: Arguments) -> list[Array]:
        weights = snapshot([weight for weight in layer.variables if "float" in str(weight.dtype)])
        restore([(weight, _round_to_dtype(value, dtype)) for weight, value in weights])
        try:
            return to_float64(call(arguments.map(lambda array: _round_to_dtype(array, dtype))))
        finally:
            restore(weights)

    return Pair(dtype, rounded, lambda given: to_float64(found.call(given)))


def _round_to_dtype(array: Array, dtype: str) -> Any:
    import keras

    if array.dtype.kind != "f":
        return array
    low = keras.ops.cast(keras.ops.convert_to_tensor(array), dtype)
    return np.asarray(keras.ops.convert_to_numpy(keras.ops.cast(low, str(array.dtype))))


def _with_large_values(trial: Trial, arguments: Arguments) -> Arguments:
    """Replace floats whose range the case does not bound by values between 50 and 150."""
    rng = np.random.default_rng(trial.seed)
    pairs = zip(specs(trial), arguments.arrays(), strict=True)
    arrays = [
        np.asarray(rng.uniform(50, 150, array.shape), array.dtype) if is_float(spec) and not is_bounded(spec) else array
        for spec, array in pairs
    ]
    return arguments.replace_arrays(arrays)


def _long_arguments(trial: Trial, call: Call) -> Arguments | None:
    """Return arguments of 1000 steps; None if the time axis is not free, or they would be too large or too slow."""
    axis, traits = trial.case.traits.time_axis, trial.case.traits
    if traits.fixed_shape or not any(_has_free_axis(spec, axis) for spec in specs(trial)):
        return None
    if sum(int(np.prod(trial.shape_of(spec, 1, {axis: LONG}))) for spec in specs(trial)) > MOST_VALUES:
        return None
    fewer, long = (trial.arguments(batch=1, free={axis: steps}) for steps in (FEWER, LONG))
    long = _with_large_values(trial, long)
    # The layer may limit the length of its inputs. LW202 dynamic-dimensions reports other reasons.
    try:
        if _operations_grow_with_steps(trial, fewer):
            return None
        call(long)
    except LayerError:
        return None
    return long


def _has_free_axis(spec: InputSpec, axis: int) -> bool:
    return len(spec.shape) > axis > 0 and spec.shape[axis] is None


def _operations_grow_with_steps(trial: Trial, longer: Arguments) -> bool:
    """Whether more steps need more operations, or on JAX a longer program, which takes longer to compile."""
    layer = lively(trial)

    def count_operations(arguments: Arguments) -> int | None:
        function, tensors = pure(layer, arguments, training=False), tensors_of(layer, arguments)
        if trial.backend.NAME == "jax":
            return len(trial.backend.trace(function, tensors))
        with trial.backend.inference():
            return trial.backend.operations(function, tensors)

    with blaming("counting the operations of the layer"):
        usual, more = count_operations(trial.usual), count_operations(longer)
    return usual is None or more is None or more > 3 * usual


def bad() -> Case:
    return _average_case(lambda inputs: inputs)


def good() -> Case:
    import keras

    return _average_case(lambda inputs: keras.ops.cast(inputs, "float32"))


def _average_case(widened: Callable[[Any], Any]) -> Case:
    import keras

    class Average(keras.layers.Layer):
        def call(self, inputs):
            total = keras.ops.sum(widened(inputs), axis=1)
            steps = keras.ops.cast(keras.ops.shape(inputs)[1], total.dtype)
            return keras.ops.cast(total / steps, self.compute_dtype)

    return Case(Average, inputs=(None, None, 5))
