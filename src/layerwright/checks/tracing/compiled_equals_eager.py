"""LW801."""

from collections.abc import Iterable

from layerwright.checks.tracing._programs import Result, Untraceable, called, draws, eager, modes, program
from layerwright.core.case import Case
from layerwright.core.check import check
from layerwright.core.errors import LayerError, quote
from layerwright.core.finding import Finding, failed, inconclusive, passed
from layerwright.trial.compare import bitwise_equal, largest_difference
from layerwright.trial.subject import lively, tolerance
from layerwright.trial.trial import Trial

FIX = (
    "Compute with keras.ops on tensors alone: branch with ops.where or ops.cond, loop with ops.scan or ops.while_loop, "
    "and ask neither float(x) nor bool(x) nor x.numpy() of a tensor."
)


@check("LW801", "compiled-equals-eager", requires=("LW901", "LW903"))
def compiled_equals_eager(trial: Trial):
    """Compiled, the layer computes what it computes eagerly.

    What it proves:
        The layer can be traced, and the program has the outputs and the new state of an eager call, in inference and
        in training.

    Why it matters:
        `fit` and `predict` compile. A layer that looks at the values of a tensor in Python breaks there, or worse,
        keeps the answer that it got while it was traced; what was right in a notebook is then wrong in training.

    How it is tested:
        The layer is compiled with its variables as arguments: with `tf.function`, and with XLA; with `jax.jit`; with
        `torch.export`, which traces what `torch.compile` traces. Outputs and new state are held against those of an
        eager call from the same variables and seeds, to 1e-5 of their scale. Training is compared where the layer
        acts otherwise in training; not with XLA where random numbers are drawn, since XLA draws others from the same
        seed. That XLA has no kernel for an operation is reported as not probed.

    Exempt when:
        Never; but where the layer, or one inside it, sets `supports_jit = False`, `tf.function` alone is put to use.

    References:
        tensorflow.org/guide/function, "Limitations"; "Control flow and logical operators with JIT" in the JAX
        documentation; torch.export on control flow; keras.io, `Model.compile` on `jit_compile`.
    """
    first, *others = trial.backend.compilers()
    yield _compared(trial, first, modes(trial))
    for compiler in others:
        yield _by_xla(trial, compiler)


def _compared(trial: Trial, compiler: str, modes: Iterable[bool]) -> Finding:
    worst = 0.0
    for training in modes:
        try:
            result = program(trial, compiler, training)(lively(trial))
        except Untraceable as reason:
            return inconclusive(str(reason))
        expected = eager(trial, training)
        difference = _difference(expected, result)
        if difference > tolerance(trial) and not _repeats(trial, training, expected):
            return inconclusive("two eager calls from the same variables and seeds differ")
        if difference > tolerance(trial):
            what = "outputs" if largest_difference(expected.outputs, result.outputs) > tolerance(trial) else "new state"
            return failed(
                f"compiled by {compiler}, training={training}, the {what} differ by {difference:.3g} of their scale "
                f"from those of an eager call; expected at most {tolerance(trial):g}",
                FIX,
            )
        worst = max(worst, difference)
    return passed(compiler, difference=worst)


def _by_xla(trial: Trial, compiler: str) -> Finding:
    comparable = [training for training in modes(trial) if not draws(trial, training)]
    if not comparable:
        return inconclusive("the layer draws random numbers in inference too, and XLA draws others from equal seeds")
    try:
        return _compared(trial, compiler, comparable)
    except LayerError as error:
        return inconclusive(
            f"XLA cannot compile the layer here: {quote(error.error, 120)}",
            "If it cannot on any device, set self.supports_jit = False in the constructor: Keras then leaves XLA out.",
        )


def _difference(expected: Result, result: Result) -> float:
    outputs = largest_difference(expected.outputs, result.outputs)
    return max(outputs, largest_difference(expected.state, result.state))


def _repeats(trial: Trial, training: bool, expected: Result) -> bool:
    return bitwise_equal(expected.outputs, called(trial, training).outputs)


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
