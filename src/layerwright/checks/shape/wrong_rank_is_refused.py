"""LW206."""

from collections.abc import Iterator

import numpy as np

from layerwright.checks.shape._calling import traces
from layerwright.core.case import Case, InputSpec
from layerwright.core.check import check
from layerwright.core.errors import LayerError
from layerwright.core.finding import Finding, failed, passed, skipped
from layerwright.trial.arguments import Arguments, Array, describe
from layerwright.trial.compare import largest_difference
from layerwright.trial.slices import Call, calling, influence_map, who_sees_whom
from layerwright.trial.subject import lively
from layerwright.trial.trial import Trial

FIX = (
    "Refuse other ranks: self.input_spec = keras.layers.InputSpec(ndim=…) in __init__ or build (min_ndim for a lower "
    "bound), or name axes from the left (axis=1, not axis=-2) so that the batch stays out of them."
)


@check("LW206", "wrong-rank-is-refused", requires=("LW301",), exempt={"batch": "coupled"})
def wrong_rank_is_refused(trial: Trial) -> Finding:
    """An input with an axis too few or too many is refused, or treated sample by sample; never mixed up.

    What it proves:
        The layer, built or new, either raises on such an input, or gives one row for each sample in which no other
        sample shows. Below a declared `min_rank` it raises.

    Why it matters:
        Attention over axis -2 given (batch, features) attends across the batch; a reshape to (-1, …) given one axis
        more makes rows of steps. Both train without a word, on garbage.

    How it is tested:
        Axis 1 is dropped, where at least two axes stay, and an axis of size 2 is put in after the batch axis. If the
        layer takes the input, rows are counted, and each sample is replaced in turn as in LW301. At a rank that
        `min_rank` declares as served, one sample without its batch axis is fine too.

    Exempt when:
        The layer declares `batch="coupled"`, or it takes several tensors.

    References:
        keras.io/api/layers/base_layer, on `input_spec`; Keras's `keras.layers.InputSpec`.
    """
    spec = trial.case.inputs
    if not isinstance(spec, InputSpec) or trial.usual.tensors:
        return skipped("the layer takes several tensors")
    accepted = []
    for shape in _shapes(spec, trial):
        arguments, other = _arguments(trial, shape, 0), _arguments(trial, shape, 1)
        call = _accepting(trial, arguments)
        if call is not None:
            accepted.append(shape)
            found = _judge(trial, call, arguments, other)
            if found is not None:
                return found
    return passed(accepted=accepted)


def _shapes(spec: InputSpec, trial: Trial) -> Iterator[tuple[int, ...]]:
    batch, *rest = spec.concrete(trial.usual.batch)
    if len(rest) >= 2 or (rest and len(rest) < (trial.case.traits.min_rank or 0)):
        yield (batch, *rest[1:])
    yield (batch, 2, *rest)


def _arguments(trial: Trial, shape: tuple[int, ...], seed: int) -> Arguments:
    return trial.arguments_of(lambda _: shape, seed=seed)


def _accepting(trial: Trial, arguments: Arguments) -> Call | None:
    """Return the built layer, or else a new one, as a function to output arrays; None if both refuse the arguments."""
    for layer in (lively(trial), trial.construct()):
        if trial.backend.NAME == "jax" and not traces(trial, layer, arguments):
            continue  # it raises; eagerly it would too, but only after compiling what comes before
        call = calling(trial, layer, arguments, training=False, loops_only=False)
        try:
            call(arguments)
        except LayerError:
            continue
        return call
    return None


def _judge(trial: Trial, call: Call, arguments: Arguments, other: Arguments) -> Finding | None:
    """Return what is wrong with what the layer made of an input of the wrong rank; None if nothing is."""
    outputs = call(arguments)
    rank, least = arguments.arrays()[0].ndim, trial.case.traits.min_rank
    given = f"given {describe(arguments)} instead of {trial.case.inputs}, the layer"
    if least is not None and rank < least:
        return failed(f"{given} raised nothing; it declares min_rank={least}", FIX)
    if least is not None and rank < len(trial.case.inputs.shape) and _as_one_sample(call, arguments, outputs):
        return None
    for output in outputs:
        if output.shape[:1] != (arguments.batch,):
            return failed(f"{given} returned {output.shape}; expected an error, or {arguments.batch} rows", FIX)
    influence = influence_map(call, arguments, other, axis=0, places=[0])
    if influence is None or (trial.case.traits.random and not np.triu(influence, 1).any()):
        return None  # unrepeatable, or one sample's draws shift the next one's
    leaks = who_sees_whom(influence)
    if leaks:
        return failed(f"{given} mixed samples: {leaks}; expected an error", FIX, influence_map=influence)
    return None


def _as_one_sample(call: Call, arguments: Arguments, outputs: list[Array]) -> bool:
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
