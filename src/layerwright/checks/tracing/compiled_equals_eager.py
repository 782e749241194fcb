"""LW801 compiled-equals-eager."""

from collections.abc import Iterable

from layerwright.checks.tracing._programs import (
    Result,
    Untraceable,
    call_eagerly,
    compiled_program,
    difference_of_results,
    draws_from_global_generators,
    eager_result,
    movement_by_rounding,
    moves_seed_state,
    training_modes,
)
from layerwright.core.case import Case
from layerwright.core.check import check
from layerwright.core.errors import LayerError, quote
from layerwright.core.finding import Finding, Outcome, failed, inconclusive, passed
from layerwright.trial.compare import bitwise_equal, largest_difference
from layerwright.trial.subject import lively, tolerance
from layerwright.trial.trial import Trial

FIX = (
    "Compute only with `keras.ops`: branch with `ops.where` or `ops.cond`, loop with `ops.scan` or `ops.while_loop`. "
    "Remove `float(x)`, `bool(x)`, `if x:` and `x.numpy()` on tensors."
)

ROUNDINGS = 8
"""How many times the move of the results by one rounding of the inputs compiled and eager results may differ."""


@check("LW801", "compiled-equals-eager", requires=("LW901",), models=True)
def compiled_equals_eager(trial: Trial):
    """The compiled layer gives the same outputs and the same new state as an eager call.

    What it proves:
        The layer can be compiled. The compiled program gives the outputs and the new state of an eager call, in
        inference and in training.

    Why it matters:
        `fit` and `predict` compile the model. A layer that reads the value of a tensor in Python raises there. Or it
        keeps the value that it read during tracing: it then works in a notebook and computes wrong results in training.

    How it is tested:
        The check compiles the layer, with its variables as arguments: with `tf.function` and with XLA on TensorFlow,
        with `jax.jit` on JAX, and with `torch.export` on torch, which traces in the same way as `torch.compile`. It
        compares outputs and new state with those of an eager call that has the same variables and seeds. They may
        differ by 1e-5 of their largest value, or, where that is more, by eight times as much as the results of the
        eager call move if each float input moves to the next number of its dtype: a mean of numbers around 70,000, for
        instance, cannot be known better. Training is compared if the layer behaves differently in training. XLA
        is skipped where the layer draws random numbers, because XLA draws other numbers from the same seed. If XLA
        cannot compile an operation, the result is inconclusive. If outputs differ in a layer that draws from a global
        generator, the check is blocked.

    Exempt when:
        Never. If the layer or one of its sublayers sets `supports_jit = False`, only `tf.function` is used.

    References:
        tensorflow.org/guide/function, "Limitations"; "Control flow and logical operators with JIT" in the JAX
        documentation; torch.export on control flow; keras.io, `Model.compile` on `jit_compile`.
    """
    first, *others = trial.backend.compilers()
    yield _compare_with_eager(trial, first, training_modes(trial))
    for compiler in others:
        yield _compare_xla_with_eager(trial, compiler)


def _compare_with_eager(trial: Trial, compiler: str, modes: Iterable[bool]) -> Finding:
    worst = 0.0
    for training in modes:
        try:
            result = compiled_program(trial, compiler, training)(lively(trial))
        except Untraceable as reason:
            return inconclusive(str(reason))
        expected = eager_result(trial, training)
        difference, allowed = difference_of_results(expected, result), tolerance(trial)
        if allowed < difference < float("inf"):
            allowed = max(allowed, ROUNDINGS * movement_by_rounding(trial, training))
        if difference > allowed and not _eager_call_repeats(trial, training, expected):
            return inconclusive("two eager calls with the same variables and seeds gave different outputs")
        if difference > allowed and draws_from_global_generators(trial, training):
            return Finding(
                Outcome.BLOCKED,
                "follows from LW903 no-foreign-randomness: the layer draws from a global generator, so that the "
                "compiled layer and an eager call receive different random numbers",
            )
        if difference > allowed:
            what = "outputs" if largest_difference(expected.outputs, result.outputs) > allowed else "new state"
            return failed(
                f"compiled by {compiler} with training={training}, the {what} differ from those of an eager call by "
                f"{difference:.3g}, relative to their largest value; expected at most {allowed:.3g}",
                FIX,
            )
        worst = max(worst, difference)
    return passed(compiler, difference=worst)


def _compare_xla_with_eager(trial: Trial, compiler: str) -> Finding:
    comparable = [training for training in training_modes(trial) if not moves_seed_state(trial, training)]
    if not comparable:
        return inconclusive(
            "the layer draws random numbers even in inference, and XLA draws other numbers from the same seed"
        )
    try:
        return _compare_with_eager(trial, compiler, comparable)
    except LayerError as error:
        return inconclusive(
            f"XLA cannot compile the layer on this machine: {quote(error.error, 120)}",
            "If XLA cannot compile it on any device, set `self.supports_jit = False` in the constructor. Keras then "
            "does not use XLA for models with this layer.",
        )


def _eager_call_repeats(trial: Trial, training: bool, expected: Result) -> bool:
    return bitwise_equal(expected.outputs, call_eagerly(trial, training).outputs)


def bad() -> Case:
    import keras

    class Cleaned(keras.layers.Layer):
        def call(self, inputs):
            if bool(keras.ops.any(keras.ops.isnan(inputs))):
                return keras.ops.nan_to_num(inputs)
            return inputs

        def compute_output_shape(self, input_shape):
            return input_shape

    return Case(Cleaned, inputs=(None, 5))


def good() -> Case:
    import keras

    class Cleaned(keras.layers.Layer):
        def call(self, inputs):
            return keras.ops.where(keras.ops.isnan(inputs), 0.0, inputs)

        def compute_output_shape(self, input_shape):
            return input_shape

    return Case(Cleaned, inputs=(None, 5))
