"""LW505."""

from collections.abc import Callable
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
from layerwright.trial.policies import LOW_PRECISION_POLICIES, tensor_caller, to_float64, version
from layerwright.trial.subject import lively
from layerwright.trial.trial import Trial, blaming, copy_weights, restore, snapshot

LONG = 1000
FEWER = 50
MOST_VALUES = 200_000
STRAYING = 0.1
Call = Callable[[Arguments], list[Any]]
Error = dict[str, Any]
"""The largest error of an output, what is allowed, what rounding inputs and weights alone does, and the scale."""
LIMITS = {"float16": (2.0**-10, 65504.0), "bfloat16": (2.0**-7, 3e38)}
"""Spacing at 1, and the largest number."""
FIX = (
    "Accumulate in float32: cast to it before sums, means, variances and cumulative sums over long axes, and the "
    "result back; take ops.mean rather than a sum over a count, and count positions in integers."
)


@check("LW505", "low-precision-tracks", requires=("LW601",), exempt={"stateful": True})
def low_precision_tracks(trial: Trial) -> Finding:
    """In float16 and bfloat16 the layer computes what it computes in float32, as far as the dtype can.

    What it proves:
        With equal weights under mixed_float16 and mixed_bfloat16, the outputs follow those in float32, at ordinary
        inputs and, where the time axis is free, over 1000 steps.

    Why it matters:
        In float16 a sum passes 65504 and is infinite; in bfloat16 a running sum of ones stops at 256. A mean taken as
        sum over count, a position counted in the compute dtype and a variance as E[x²] - E[x]² are right on the short
        inputs of a test, and wrong on the long ones of the first training run in mixed precision.

    How it is tested:
        What the dtype can give is measured: weights and inputs are rounded to it and the outputs computed in float32.
        Outputs may differ by four times as much as that moves them, and 16 roundings of the largest output. A tenth of
        the entries may stray, since a maximum or a threshold may go the other way; none may turn NaN or infinite.
        The long inputs lie between 50 and 150, as a sum of so many overflows; they count only where inputs of that
        size track at the usual length. They are left out where the layer refuses them, or where more steps take more
        operations, as one after another: a thousand would take long.

    Exempt when:
        The layer declares `stateful=True`. Not probed where the layer cannot be had under either policy.

    References:
        Higham 2002, "Accuracy and Stability of Numerical Algorithms", chapters 1 and 4; Micikevicius et al. 2018,
        "Mixed Precision Training", arXiv:1710.03740, section 3.3.
    """
    call = tensor_caller(trial, lively(trial))
    pairs = [_pair(trial, call, policy) for policy in LOW_PRECISION_POLICIES]
    usable = [pair for pair in pairs if isinstance(pair, Pair)]
    if not usable:
        return inconclusive(str(pairs[0]))
    exact = to_float64(call(trial.usual))
    errors: list[Error] = []
    for pair in usable:
        problem = pair.problem(trial.usual, exact, "ordinary inputs", errors)
        if problem:
            return failed(f"{problem}, at ordinary inputs", FIX, errors=errors)
    short, long = _large(trial, trial.usual), _long(trial, call)
    if long is None:
        return passed(steps="usual", errors=errors)
    exact_short, exact_long = to_float64(call(short)), to_float64(call(long))
    for pair in usable:
        problem = ""
        if not pair.problem(short, exact_short, "large inputs", errors):
            problem = pair.problem(long, exact_long, f"large inputs, {LONG} steps", errors)
        if problem:
            said = f"{problem}, over {LONG} steps of inputs between 50 and 150 (not over the usual few)"
            return failed(said, FIX, errors=errors)
    return passed(steps=LONG, errors=errors)


@dataclass(frozen=True, eq=False)
class Pair:
    """The lively layer under a low-precision policy, and in float32 with what that policy does to its inputs.

    Attributes:
        dtype: What the first computes in.
        rounded: From arguments to the outputs in float32, from weights and inputs rounded to `dtype`.
        low: From arguments to the outputs under the policy, from equal weights.
    """

    dtype: str
    rounded: Callable[[Arguments], list[Array]]
    low: Callable[[Arguments], list[Array]]

    def problem(self, arguments: Arguments, exact: list[Array], at: str, errors: list[Error]) -> str:
        """Say how the outputs under the policy do not follow the exact ones, of float32; empty if they do.

        What was measured, of the output with the worst error for what is allowed, is added to `errors`.
        """
        measured: list[Error] = []
        said = ""
        for triple in zip(exact, self.rounded(arguments), self.low(arguments), strict=True):
            said = self._problem(*triple, measured)
            if said:
                break
        if measured:
            worst = max(measured, key=lambda each: each["error"] / each["allowed"])
            errors.append({"name": f"{self.dtype}, {at}", **worst})
        return f"under mixed_{self.dtype}, {said}" if said else ""

    def _problem(self, exact: Array, rounded: Array, low: Array, measured: list[Error]) -> str:
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
            return f"{lost} of {low.size} output values are NaN or infinite, where float32 gives finite ones"
        if strays <= STRAYING * low.size:
            return ""
        return (
            f"{strays} of {low.size} output values are more than {allowed:.3g} from float32's, the worst "
            f"{apart.max():.3g}; the largest value is {scale:.3g}"
        )


def _pair(trial: Trial, call: Call, policy: str) -> Pair | str:
    found = version(trial, policy)
    if isinstance(found, str):
        return found
    layer, dtype = lively(trial), policy.removeprefix("mixed_")
    if layer.compute_dtype != "float32":
        return f"the layer computes in {layer.compute_dtype} to begin with"
    copy_weights(layer, found.layer)

    def rounded(arguments: Arguments) -> list[Array]:
        weights = snapshot([weight for weight in layer.variables if "float" in str(weight.dtype)])
        restore([(weight, _rounded(value, dtype)) for weight, value in weights])
        try:
            return to_float64(call(arguments.map(lambda array: _rounded(array, dtype))))
        finally:
            restore(weights)

    return Pair(dtype, rounded, lambda given: to_float64(found.call(given)))


def _rounded(array: Array, dtype: str) -> Any:
    import keras

    if array.dtype.kind != "f":
        return array
    low = keras.ops.cast(keras.ops.convert_to_tensor(array), dtype)
    return np.asarray(keras.ops.convert_to_numpy(keras.ops.cast(low, str(array.dtype))))


def _large(trial: Trial, arguments: Arguments) -> Arguments:
    """Put values between 50 and 150 in the place of floats whose range the case leaves open."""
    rng = np.random.default_rng(trial.seed)
    pairs = zip(specs(trial), arguments.arrays(), strict=True)
    arrays = [
        np.asarray(rng.uniform(50, 150, array.shape), array.dtype) if is_float(spec) and not is_bounded(spec) else array
        for spec, array in pairs
    ]
    return arguments.replace_arrays(arrays)


def _long(trial: Trial, call: Call) -> Arguments | None:
    """Return arguments of 1000 steps; None if the time axis is not free, or that would be too large or too long."""
    axis, traits = trial.case.traits.time_axis, trial.case.traits
    if traits.fixed_shape or not any(_is_free(spec, axis) for spec in specs(trial)):
        return None
    if sum(int(np.prod(trial.shape_of(spec, 1, {axis: LONG}))) for spec in specs(trial)) > MOST_VALUES:
        return None
    fewer, long = (trial.arguments(batch=1, free={axis: steps}) for steps in (FEWER, LONG))
    long = _large(trial, long)
    try:
        if _goes_step_by_step(trial, fewer):
            return None
        call(long)
    except LayerError:  # it has a longest input, or LW202 dynamic-dimensions says so
        return None
    return long


def _is_free(spec: InputSpec, axis: int) -> bool:
    return len(spec.shape) > axis > 0 and spec.shape[axis] is None


def _goes_step_by_step(trial: Trial, longer: Arguments) -> bool:
    """Whether more steps take more operations; on JAX, whether they make a larger program, which takes compiling."""
    layer = lively(trial)

    def size(arguments: Arguments) -> int | None:
        function, tensors = pure(layer, arguments, training=False), tensors_of(layer, arguments)
        if trial.backend.NAME == "jax":
            return len(trial.backend.trace(function, tensors))
        with trial.backend.inference():
            return trial.backend.operations(function, tensors)

    with blaming("counting its operations"):
        usual, more = size(trial.usual), size(longer)
    return usual is None or more is None or more > 3 * usual


def bad() -> Case:
    return _average(lambda inputs: inputs)


def good() -> Case:
    import keras

    return _average(lambda inputs: keras.ops.cast(inputs, "float32"))


def _average(widened: Callable[[Any], Any]) -> Case:
    import keras

    class Average(keras.layers.Layer):
        def call(self, inputs):
            total = keras.ops.sum(widened(inputs), axis=1)
            steps = keras.ops.cast(keras.ops.shape(inputs)[1], total.dtype)
            return keras.ops.cast(total / steps, self.compute_dtype)

    return Case(Average, inputs=(None, None, 5))
