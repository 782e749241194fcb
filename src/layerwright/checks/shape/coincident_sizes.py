"""LW208 coincident-sizes."""

from collections.abc import Callable, Iterator

from layerwright.checks.shape._calling import new_layer_caller
from layerwright.core.case import Case
from layerwright.core.check import check
from layerwright.core.errors import LayerError, quote
from layerwright.core.finding import Finding, Outcome, failed, inconclusive, passed, skipped
from layerwright.trial.arguments import Arguments, Array
from layerwright.trial.compare import largest_difference
from layerwright.trial.slices import Call, calling
from layerwright.trial.subject import LOW_PRECISION, caller, draws, lively
from layerwright.trial.trial import Trial

FIX = (
    "Refer to axes by position, never look them up by size. Give operands the same rank before you combine them, as in "
    "`mask[:, :, None] * x`, so that no axis is mistaken for another."
)
MOST_SAMPLES, MOST_EQUAL_SIZE = 32, 8
Runner = Callable[[int], "list[Array] | LayerError"]


@check("LW208", "coincident-sizes", requires=("LW101",), exempt={"batch": "coupled", "fixed_shape": True})
def coincident_sizes(trial: Trial) -> Finding:
    """Axes that happen to have equal sizes do not change what the layer computes.

    What it proves:
        The same samples give the same rows in a batch whose size equals the size of another axis. Where all axes have
        one size, they give the same rows in a batch of that size as in a larger batch. If the layer raises an error at
        different sizes, it raises one at equal sizes too.

    Why it matters:
        A mask (batch, time) times data (batch, time, features) is an error unless all three sizes are equal: then it
        broadcasts along the wrong axes, without any error. The same happens to a bias, a weight or an axis that is
        looked up by its size.

    How it is tested:
        The same samples are passed in the usual batch and in a batch as large as the feature axis. A new layer is
        called on inputs whose axes all have that size, in a batch of that size and in a batch with one sample more. If
        it refuses these, the built layer is called in a batch as large as the next axis instead. Rows are compared with
        a tolerance for rounding. Where they differ, two batch sizes that equal no other axis are compared as well. If
        those differ too, the result is inconclusive and LW303 batch-size-is-free reports the layer.

    Exempt when:
        The layer declares `batch="coupled"` or `fixed_shape=True`.

    References:
        numpy.org, "Broadcasting".
    """
    features, *others = _batch_sizes_to_try(trial) or (None,)
    found = (
        []
        if features is None
        else [*_compare_at_case_shapes(trial, features), *_compare_with_all_axes_equal(trial, features)]
    )
    # Where the layer refuses axes that are all of one size, the next axis can still be tried alone.
    if len(found) < 2 and others:
        found += _compare_at_case_shapes(trial, others[0])
    if not found:
        return skipped(
            f"no axis has a size from 2 to {MOST_SAMPLES} that the batch could have too, or the layer raised an error "
            "at every size tried"
        )
    return next((one for one in found if one.outcome is not Outcome.PASSED), found[0])


def _batch_sizes_to_try(trial: Trial) -> list[int]:
    """Return the sizes of the case's axes that a batch can have too, features first."""
    shapes = [trial.shape_of(spec, 0)[1:] for spec in trial.case.specs()]
    return [size for shape in shapes for size in dict.fromkeys(shape[::-1]) if 1 < size <= MOST_SAMPLES]


def _compare_at_case_shapes(trial: Trial, size: int) -> Iterator[Finding]:
    """Compare a batch of `size`, which is also the size of another axis, with the usual batch."""
    taken = {size for spec in trial.case.specs() for size in trial.shape_of(spec, 0)}
    usual = trial.usual.batch
    control = next(samples for samples in range(2 * usual, 4 * usual + len(taken)) if samples not in taken)
    everyone = trial.arguments(max(control, size))
    try:
        at_usual = caller(trial, False)
        elsewhere = calling(trial, lively(trial), everyone, training=False, loops_only=False)
    # The layer raises at the usual sizes. It may not where sizes are equal.
    except LayerError:
        at_usual = elsewhere = new_layer_caller(trial)

    def call(arguments: Arguments) -> list[Array]:
        return at_usual(arguments) if arguments.batch == usual else elsewhere(arguments)

    yield from _compare_batch_sizes(trial, _runner_on_first_samples(call, everyone), (size, usual, control))


def _compare_with_all_axes_equal(trial: Trial, features: int) -> Iterator[Finding]:
    """Compare inputs whose axes all have one size, in a batch of that size and in larger batches."""
    if all(len(spec.shape) < 3 for spec in trial.case.specs()) and len(list(trial.case.specs())) == 1:
        return
    # With the size of the features, layers that were constructed for it still fit.
    size = max(features if features <= MOST_EQUAL_SIZE else 4, trial.case.traits.minimum)
    everyone = trial.arguments_of(lambda spec: (size + 2, *[size] * (len(spec.shape) - 1)))
    yield from _compare_batch_sizes(
        trial, _runner_on_first_samples(new_layer_caller(trial), everyone), (size, size + 1, size + 2)
    )


def _runner_on_first_samples(call: Call, everyone: Arguments) -> Runner:
    """Return a function from a number of samples to the layer's outputs, or error, for the first of `everyone`."""

    def run(samples: int) -> list[Array] | LayerError:
        try:
            return call(everyone.rows(slice(samples)))
        except LayerError as error:
            return error

    return run


def _compare_batch_sizes(trial: Trial, run: Runner, sizes: tuple[int, int, int]) -> Iterator[Finding]:
    """Compare the first batch size, which equals another axis, with the second. The third one is the control."""
    coincident, ordinary, control = sizes
    one, other = run(coincident), run(ordinary)
    if isinstance(one, LayerError) and isinstance(other, LayerError):
        return
    if _results_agree(trial, one, other):
        yield passed()
    elif _draws_random_numbers(trial):
        yield inconclusive(
            "two calls on the same inputs differ: the layer draws random numbers or keeps state in inference"
        )
    elif not _results_agree(trial, other, run(control)):
        yield inconclusive("the outputs depend on the batch size itself: see LW303 batch-size-is-free")
    else:
        yield failed(f"{_describe_disagreement(one, other, sizes)}; expected the same result in both batches", FIX)


def _results_agree(trial: Trial, one: list[Array] | LayerError, other: list[Array] | LayerError) -> bool:
    """Whether two results have equal rows, except for rounding, for the samples they share, or are both errors."""
    if isinstance(one, LayerError) or isinstance(other, LayerError):
        return isinstance(one, LayerError) and isinstance(other, LayerError)
    allowed = LOW_PRECISION.get(str(trial.construct().compute_dtype), 1e-4)
    return _difference_in_shared_rows(one, other) <= allowed


def _difference_in_shared_rows(one: list[Array], other: list[Array]) -> float:
    """Return the difference between the rows of the samples that both share. Scalars are left out."""
    one, other = ([rows for rows in outputs if rows.ndim] for outputs in (one, other))
    shared = min((len(rows) for rows in (*one, *other)), default=0)
    return largest_difference([rows[:shared] for rows in one], [rows[:shared] for rows in other])


def _draws_random_numbers(trial: Trial) -> bool:
    try:
        return draws(trial)
    # The layer raises at the usual sizes.
    except LayerError:
        return False


def _describe_disagreement(
    one: list[Array] | LayerError, other: list[Array] | LayerError, sizes: tuple[int, int, int]
) -> str:
    coincident, ordinary, _ = sizes
    where = f"in a batch of {coincident}, which is also the size of another axis"
    if isinstance(one, LayerError):
        return f"{where}, the layer raised {quote(one.error)}; in a batch of {ordinary} it raised no error"
    if isinstance(other, LayerError):
        return f"{where}, the layer raised no error; in a batch of {ordinary} it raised {quote(other.error)}"
    difference = _difference_in_shared_rows(one, other)
    return (
        f"{where}, outputs of the same samples differ by {difference:.3g} of their scale from those in a batch of "
        f"{ordinary}"
    )


def bad() -> Case:
    import keras

    class SoftmaxOverColours(keras.layers.Layer):
        def call(self, inputs):
            axis = tuple(inputs.shape).index(3)
            return keras.ops.softmax(inputs, axis=axis)

    return Case(SoftmaxOverColours, inputs=(None, 6, 5, 3))


def good() -> Case:
    import keras

    class SoftmaxOverColours(keras.layers.Layer):
        def call(self, inputs):
            return keras.ops.softmax(inputs, axis=-1)

    return Case(SoftmaxOverColours, inputs=(None, 6, 5, 3))
