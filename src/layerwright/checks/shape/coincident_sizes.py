"""LW208."""

from collections.abc import Callable, Iterator

from layerwright.checks.shape._calling import calling_new
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
    "Name axes by their place, never find them by their size, and give operands the same rank before they meet: "
    "mask[:, :, None] * x, so that no axis can pass for another."
)
MOST_SAMPLES, MOST_CUBED = 32, 8
Run = Callable[[int], "list[Array] | LayerError"]


@check("LW208", "coincident-sizes", requires=("LW101",), exempt={"batch": "coupled", "fixed_shape": True})
def coincident_sizes(trial: Trial) -> Finding:
    """Where batch, time or features have the same size, the layer computes what it computes where they differ.

    What it proves:
        The same samples give the same rows in a batch as large as one of the other axes, and, with every axis of one
        size, in a batch of that size as in a larger one. A layer that raises elsewhere raises there too.

    Why it matters:
        A mask (batch, time) times data (batch, time, features) is an error, until all three have the same size: then
        it broadcasts along the wrong axes in silence. So does a bias, a weight or an axis looked up by its size.

    How it is tested:
        The same samples are called in the usual batch and in one as large as the features. A new layer is called on
        inputs whose axes are all of that size, in a batch of as many and of one more; or, where it refuses these, the
        built one in a batch as large as the next axis. Rows are compared to rounding. Where they differ, two batches
        that coincide with nothing are compared as well: if those differ too, it is for LW303 to say.

    Exempt when:
        The layer declares `batch="coupled"` or `fixed_shape`.

    References:
        numpy.org, "Broadcasting".
    """
    features, *others = _sizes(trial) or (None,)
    found = [] if features is None else [*_own_shapes(trial, features), *_cube(trial, features)]
    if len(found) < 2 and others:  # all of one size cannot be tried; the next axis alone can
        found += _own_shapes(trial, others[0])
    if not found:
        return skipped("no axis has a size to give the batch, or the layer raises at every size tried")
    return next((one for one in found if one.outcome is not Outcome.PASSED), found[0])


def _sizes(trial: Trial) -> list[int]:
    """Return the sizes of the case's axes that a batch can have, features first."""
    shapes = [spec.concrete(0)[1:] for spec in trial.case.specs()]
    return [size for shape in shapes for size in dict.fromkeys(shape[::-1]) if 1 < size <= MOST_SAMPLES]


def _own_shapes(trial: Trial, size: int) -> Iterator[Finding]:
    """Compare the case's own shapes, in a batch of `size`, which another axis has too, with the usual batch."""
    taken = {size for spec in trial.case.specs() for size in spec.concrete(0)}
    usual = trial.usual.batch
    control = next(samples for samples in range(2 * usual, 4 * usual + len(taken)) if samples not in taken)
    everyone = trial.arguments(max(control, size))
    try:
        at_usual = caller(trial, False)
        elsewhere = calling(trial, lively(trial), everyone, training=False, loops_only=False)
    except LayerError:  # at the usual sizes it raises; it may not where sizes coincide
        at_usual = elsewhere = calling_new(trial)

    def call(arguments: Arguments) -> list[Array]:
        return at_usual(arguments) if arguments.batch == usual else elsewhere(arguments)

    yield from _judge(trial, _over(call, everyone), (size, usual, control))


def _cube(trial: Trial, features: int) -> Iterator[Finding]:
    """Compare inputs whose axes all have one size, in a batch of that size with larger ones."""
    if all(len(spec.shape) < 3 for spec in trial.case.specs()) and len(list(trial.case.specs())) == 1:
        return
    size = max(features if features <= MOST_CUBED else 4, trial.case.traits.minimum)  # what was made for it still fits
    everyone = trial.arguments_of(lambda spec: (size + 2, *[size] * (len(spec.shape) - 1)))
    yield from _judge(trial, _over(calling_new(trial), everyone), (size, size + 1, size + 2))


def _over(call: Call, everyone: Arguments) -> Run:
    """Return a function from a number of samples to what the layer makes of the first so many of everyone."""

    def run(samples: int) -> list[Array] | LayerError:
        try:
            return call(everyone.rows(slice(samples)))
        except LayerError as error:
            return error

    return run


def _judge(trial: Trial, run: Run, sizes: tuple[int, int, int]) -> Iterator[Finding]:
    """Compare the first batch size, which coincides with another axis, with the second; the third is the control."""
    coincident, ordinary, control = sizes
    one, other = run(coincident), run(ordinary)
    if isinstance(one, LayerError) and isinstance(other, LayerError):
        return
    if _agree(trial, one, other):
        yield passed()
    elif _draws(trial):
        yield inconclusive("two calls of the layer differ: it draws random numbers, or keeps state, in inference")
    elif not _agree(trial, other, run(control)):
        yield inconclusive("what the layer computes depends on the size of the batch in itself: see LW303")
    else:
        yield failed(f"{_said(one, other, sizes)}; expected the same of both", FIX)


def _agree(trial: Trial, one: list[Array] | LayerError, other: list[Array] | LayerError) -> bool:
    """Whether two runs gave the samples that they share the same rows, to rounding, or both raised."""
    if isinstance(one, LayerError) or isinstance(other, LayerError):
        return isinstance(one, LayerError) and isinstance(other, LayerError)
    allowed = LOW_PRECISION.get(str(trial.construct().compute_dtype), 1e-4)
    return _difference(one, other) <= allowed


def _difference(one: list[Array], other: list[Array]) -> float:
    """Return how far the rows of the samples that both share are apart; what has no rows is left out."""
    one, other = ([rows for rows in outputs if rows.ndim] for outputs in (one, other))
    shared = min((len(rows) for rows in (*one, *other)), default=0)
    return largest_difference([rows[:shared] for rows in one], [rows[:shared] for rows in other])


def _draws(trial: Trial) -> bool:
    try:
        return draws(trial)
    except LayerError:  # it raises at the usual sizes
        return False


def _said(one: list[Array] | LayerError, other: list[Array] | LayerError, sizes: tuple[int, int, int]) -> str:
    coincident, ordinary, _ = sizes
    where = f"in a batch of {coincident}, the size of another axis too"
    if isinstance(one, LayerError):
        return f"{where}, the layer raised {quote(one.error)}; in a batch of {ordinary} it raises nothing"
    if isinstance(other, LayerError):
        return f"{where}, the layer computes; in a batch of {ordinary} it raised {quote(other.error)}"
    return (
        f"{where}, the same samples give outputs {_difference(one, other):.3g} of scale away from those in {ordinary}"
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
