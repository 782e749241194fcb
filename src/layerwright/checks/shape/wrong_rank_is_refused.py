"""LW206 wrong-rank-is-refused."""

from collections.abc import Iterator

import numpy as np

from layerwright.checks.axes._influence import SHAPES_ALONE, follows_shapes_alone
from layerwright.checks.shape._calling import is_traceable
from layerwright.core.case import Case, InputSpec
from layerwright.core.check import check
from layerwright.core.errors import LayerError
from layerwright.core.finding import Finding, failed, passed, skipped
from layerwright.trial.arguments import Arguments, Array, describe
from layerwright.trial.compare import largest_difference
from layerwright.trial.slices import Call, calling, influence_map, who_sees_whom
from layerwright.trial.trial import Trial

FIX = (
    "Refuse other ranks: set `self.input_spec = keras.layers.InputSpec(ndim=…)` in `__init__` or `build`, or "
    "`min_ndim=…` for a lower bound. Or count axes from the left (`axis=1`, not `axis=-2`), so that none of them can "
    "be the batch axis. If the layer also works on inputs with fewer axes, declare the trait `min_rank=…`."
)


@check("LW206", "wrong-rank-is-refused", requires=("LW301",), exempt={"batch": "coupled"}, needs_tensors=True)
def wrong_rank_is_refused(trial: Trial) -> Finding:
    """An input with one axis too few or too many is refused, or processed sample by sample.

    What it proves:
        On such an input a new layer either raises an error or returns one row for each sample. No row depends on
        another sample. Below a declared `min_rank` it raises an error.

    Why it matters:
        Attention over axis -2 attends across the batch if the input is (batch, features). A reshape to (-1, …) turns
        steps into rows if the input has one axis more. Both train on garbage without an error.

    How it is tested:
        Axis 1 is removed, if at least two axes remain, and an axis of size 2 is inserted after the batch axis. If the
        layer accepts the input, its output rows are counted, and each sample is replaced in turn as in LW301. At a rank
        that the declared `min_rank` allows, the layer may also treat the input as one sample without a batch axis. A
        layer that was built for the usual rank is not tried: a `build` that refuses the rank is enough.

    Exempt when:
        The layer declares `batch="coupled"`, or it takes several tensors.

    References:
        keras.io/api/layers/base_layer, on `input_spec`; Keras's `keras.layers.InputSpec`.
    """
    spec = trial.case.inputs
    if not isinstance(spec, InputSpec) or trial.usual.tensors:
        return skipped("the layer takes several input tensors")
    if follows_shapes_alone(trial):
        return skipped(SHAPES_ALONE)
    accepted = []
    for shape in _shapes_of_wrong_rank(spec, trial):
        arguments, other = _draw_arguments(trial, shape, 0), _draw_arguments(trial, shape, 1)
        call = _caller_if_accepted(trial, arguments)
        if call is not None:
            accepted.append(shape)
            found = _problem_with_outputs(trial, call, arguments, other)
            if found is not None:
                return found
    return passed(accepted=accepted)


def _shapes_of_wrong_rank(spec: InputSpec, trial: Trial) -> Iterator[tuple[int, ...]]:
    batch, *rest = trial.shape_of(spec, trial.usual.batch)
    if len(rest) >= 2 or (rest and len(rest) < (trial.case.traits.min_rank or 0)):
        yield (batch, *rest[1:])
    yield (batch, 2, *rest)


def _draw_arguments(trial: Trial, shape: tuple[int, ...], seed: int) -> Arguments:
    return trial.arguments_of(lambda _: shape, seed=seed)


def _caller_if_accepted(trial: Trial, arguments: Arguments) -> Call | None:
    """Return a new layer as a function to output arrays; None if it refuses the arguments."""
    layer = trial.construct()
    if trial.backend.NAME == "jax" and not is_traceable(trial, layer, arguments):
        # The layer raises. It would also raise eagerly, but only after its first operations have been compiled.
        return None
    call = calling(trial, layer, arguments, training=False, loops_only=False)
    try:
        call(arguments)
    except LayerError:
        return None
    return call


def _problem_with_outputs(trial: Trial, call: Call, arguments: Arguments, other: Arguments) -> Finding | None:
    """Return a finding if the outputs for an input of the wrong rank are unacceptable; else None."""
    outputs = call(arguments)
    rank, least = arguments.arrays()[0].ndim, trial.case.traits.min_rank
    given = f"called on {describe(arguments)} instead of {trial.case.inputs}, the layer"
    if least is not None and rank < least:
        return failed(f"{given} raised no error; expected an error below the declared min_rank={least}", FIX)
    if least is not None and rank < len(trial.case.inputs.shape) and _computes_one_sample(call, arguments, outputs):
        return None
    for output in outputs:
        if output.shape[:1] != (arguments.batch,):
            return failed(f"{given} returned shape {output.shape}; expected an error or {arguments.batch} rows", FIX)
    influence = influence_map(call, arguments, other, axis=0, places=[0])
    if influence is None or (trial.case.traits.random and not np.triu(influence, 1).any()):
        # Identical calls differ, or the random numbers of one sample shift those of the next.
        return None
    leaks = who_sees_whom(influence)
    if leaks:
        return failed(
            f"{given} mixed samples: {leaks}; expected an error or independent samples", FIX, influence_map=influence
        )
    return None


def _computes_one_sample(call: Call, arguments: Arguments, outputs: list[Array]) -> bool:
    try:
        batched = call(arguments.map(lambda array: array[None]))
    except LayerError:
        return False
    return largest_difference([output[0] for output in batched], outputs) <= 1e-5


def bad() -> Case:
    import keras

    class Attends(keras.layers.Layer):
        def call(self, inputs):
            scores = keras.ops.matmul(inputs, keras.ops.swapaxes(inputs, -1, -2))
            return keras.ops.matmul(keras.ops.softmax(scores), inputs)

    return Case(Attends, inputs=(None, 6, 5))


def good() -> Case:
    import keras

    class Attends(keras.layers.Layer):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.input_spec = keras.layers.InputSpec(ndim=3)

        def call(self, inputs):
            scores = keras.ops.matmul(inputs, keras.ops.swapaxes(inputs, -1, -2))
            return keras.ops.matmul(keras.ops.softmax(scores), inputs)

    return Case(Attends, inputs=(None, 6, 5))
