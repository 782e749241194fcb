"""Judge a way to call a layer: what its author meant runs in every mode, and gives a row for each sample."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from layerwright.cases.signatures import call_parameters, is_required
from layerwright.core.case import Case
from layerwright.core.errors import LayerError
from layerwright.trial.trial import Trial


@dataclass(frozen=True)
class Verdict:
    """How a layer takes a case.

    Attributes:
        case: The case.
        error: What calling it in inference raised; None if it can be called.
        kept: How many of the further promises it keeps.
        broken: Those that it does not keep, in words.
    """

    case: Case
    error: BaseException | None
    kept: int = 0
    broken: tuple[str, ...] = ()

    @property
    def is_sound(self) -> bool:
        """Whether the layer keeps every promise."""
        return self.error is None and not self.broken


def judge(case: Case) -> Verdict:
    """Call the layer in inference; if it can be called, see whether it keeps further promises.

    A layer that refuses an optional mask is judged without it, but keeps it: Keras passes on masks.
    """
    verdict = _called(case)
    if verdict.error is None or "mask" not in case.call or not _is_optional_mask(case):
        return verdict
    without = case.with_inputs(case.inputs, {name: one for name, one in case.call.items() if name != "mask"})
    return replace(_called(without), case=case)


def construct(case: Case) -> tuple[Any, BaseException | None]:
    """Return a new layer, or what constructing it raised."""
    try:
        return Trial(case).construct(), None
    except LayerError as error:
        return None, error
    except (SystemExit, MemoryError) as error:
        return None, error


def _called(case: Case) -> Verdict:
    trial = Trial(case)
    try:
        layer = trial.construct()
        outputs = trial.call(layer, trial.usual)
    except LayerError as error:
        return Verdict(case, error)
    except (SystemExit, MemoryError):
        return Verdict(case, None)  # other inputs would not help: the check of the call will say what happened
    promises = list(_promises(trial, layer, outputs))
    broken = tuple(name for name, is_kept in promises if not _holds(is_kept))
    return Verdict(case, None, len(promises) - len(broken), broken)


def _promises(trial: Trial, layer: Any, outputs: Any) -> Iterator[tuple[str, Callable[[], bool]]]:
    larger = 7 if trial.batch != 7 else 9
    if trial.case.traits.batch != "graph":
        yield "a row for each sample", lambda: _has_rows(outputs, trial.batch)
        yield "another batch size", lambda: _grows(outputs, trial.call(layer, trial.arguments(larger)), larger)
    yield "training", lambda: trial.call(layer, trial.usual, training=True) is not _NOTHING
    yield "a symbolic call", lambda: trial.symbolic_call(trial.construct(), batch=None) is not _NOTHING
    if _says_its_output_shape(layer) and not isinstance(trial.usual.inputs, (list, tuple, dict)):
        yield "compute_output_shape()", lambda: _agrees(layer, trial, outputs)


_NOTHING = object()


def _holds(promise: Callable[[], bool]) -> bool:
    try:
        return promise()
    except (Exception, SystemExit):
        return False


def _has_rows(outputs: Any, batch: int) -> bool:
    import keras

    leaves = [leaf for leaf in keras.tree.flatten(outputs) if leaf is not None]
    return all(np.ndim(leaf) and np.shape(leaf)[0] == batch for leaf in leaves)


def _grows(outputs: Any, more: Any, batch: int) -> bool:
    """Whether more samples give more rows, and no other axis grows."""
    import keras

    before, after = keras.tree.flatten(outputs), keras.tree.flatten(more)
    alike = len(before) == len(after) and all(
        np.shape(one)[1:] == np.shape(other)[1:] for one, other in zip(before, after, strict=True) if one is not None
    )
    return alike and _has_rows(more, batch)


def _says_its_output_shape(layer: Any) -> bool:
    return not type(layer).compute_output_shape.__module__.startswith("keras.src.layers.layer")


def _agrees(layer: Any, trial: Trial, outputs: Any) -> bool:
    import keras

    said = layer.compute_output_shape(tuple(trial.usual.inputs.shape))
    shapes = [tuple(np.shape(leaf)) for leaf in keras.tree.flatten(outputs) if leaf is not None]
    return len(shapes) != 1 or tuple(said) == shapes[0]


def _is_optional_mask(case: Case) -> bool:
    return "mask" in call_parameters(case.layer) and not is_required(call_parameters(case.layer)["mask"])
