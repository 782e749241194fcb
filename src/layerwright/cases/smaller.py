"""Check a layer on smaller inputs than its model gives it, where it works on them: the checks take less time."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from layerwright.core.case import Case, InputSpec
from layerwright.core.errors import LayerError
from layerwright.trial.arguments import map_leaves
from layerwright.trial.trial import Trial

LARGE = 32
SMALLEST = 6
FACTORS = (64, 32, 16, 8, 4, 2)
"""Dividing keeps what layers ask of sizes: a multiple of the window, of the patch, of the stride."""


def on_smaller_inputs(case: Case) -> Case:
    """Return the case with smaller time and space axes, if some are large and the layer works so, and a note of it.

    The channels stay, and so does every size of at most 32.
    """
    for candidate in smaller_cases(case):
        if _works(candidate):
            before, after = (" and ".join(map(str, one.specs())) for one in (case, candidate))
            note = f"checked on {after} instead of {before}, which takes longer"
            return replace(candidate, notes=(*case.notes, note))
    return case


def smaller_cases(case: Case) -> Iterator[Case]:
    """Yield the case with smaller sizes of its large time and space axes, the smallest first; none if none is large."""
    large = [spec.shape[axis] for spec in case.specs() for axis in _free_to_shrink(spec)]
    if large:
        for shrink in _ways_to_shrink([size for size in large if size is not None]):
            yield _with_sizes(case, shrink)


def _ways_to_shrink(large: list[int]) -> Iterator[Callable[[int], int]]:
    for factor in FACTORS:
        if all(size % factor == 0 and size // factor >= SMALLEST for size in large):
            yield lambda size, factor=factor: size // factor  # type: ignore[misc]
    yield lambda _: SMALLEST + 2


def _free_to_shrink(spec: InputSpec) -> list[int]:
    """Return the large axes between batch and features; ids and masks have no features."""
    is_float = spec.dtype.startswith(("float", "bfloat"))
    end = len(spec.shape) - 1 if is_float or len(spec.shape) > 3 else len(spec.shape)
    return [axis for axis in range(1, end) if (spec.shape[axis] or 0) > LARGE]


def _with_sizes(case: Case, shrink: Callable[[int], int]) -> Case:
    def smaller(spec: Any) -> Any:
        if not isinstance(spec, InputSpec):
            return spec
        axes = _free_to_shrink(spec)
        shape = tuple(shrink(size or 0) if axis in axes else size for axis, size in enumerate(spec.shape))
        return replace(spec, shape=shape)

    call = {name: map_leaves(smaller, value) for name, value in case.call.items()}
    return replace(case, inputs=map_leaves(smaller, case.inputs), call=call)


def _works(case: Case) -> bool:
    trial = Trial(case)
    try:
        trial.symbolic_call(trial.construct(), batch=trial.batch, free=False)
    except LayerError:
        return False
    return True
