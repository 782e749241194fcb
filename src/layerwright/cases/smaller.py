"""Smaller inputs than those a layer was seen with: a check calls the layer many times."""

import math
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from layerwright.core.case import Case, InputSpec
from layerwright.trial.arguments import map_leaves

LARGE = 24
"""The largest size of an axis between batch and features that is left as it is."""


def smaller(case: Case) -> Case | None:
    """Return the case with the large sizes of its inputs reduced alike; None if none is large.

    A size stays a multiple of a constructor's number, such as a patch size, if it was one.
    """
    sizes = {size for spec in case.specs() for size in spec.shape[1:-1] if size is not None and size > LARGE}
    if not sizes:
        return None
    numbers = _numbers(case.init.values())
    reduced = {size: _reduced(size, place, numbers) for place, size in enumerate(sorted(sizes))}

    def change(leaf: Any) -> Any:
        if not isinstance(leaf, InputSpec):
            return leaf
        inner = (size if size is None else reduced.get(size, size) for size in leaf.shape[1:-1])
        return replace(leaf, shape=(leaf.shape[0], *inner, *leaf.shape[1:][-1:]))

    return case.with_inputs(
        map_leaves(change, case.inputs), {name: map_leaves(change, value) for name, value in case.call.items()}
    )


def _reduced(size: int, place: int, numbers: Iterable[int]) -> int:
    divisors = [number for number in numbers if 1 < number <= size // 2 and size % number == 0]
    unit = math.lcm(*divisors) if divisors and math.lcm(*divisors) <= size // 2 else max(divisors, default=4)
    small = unit * (2 + place)
    while small < 8:
        small += unit
    return min(small, size)


def _numbers(values: Iterable[Any]) -> list[int]:
    flat: list[Any] = []
    for value in values:
        flat += list(value) if isinstance(value, (list, tuple)) else [value]
    return [one for one in flat if isinstance(one, int) and not isinstance(one, bool)]
