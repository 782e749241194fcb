"""Cases that differ in constructor arguments, such that every two values of different arguments occur together."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import combinations, product
from typing import Any

from layerwright.core.case import Case

MOST = 12
"""How many variants are made of one case, the case itself not counted."""

DEFAULT = object()
"""Stands for the value that an argument has where the case does not give it."""

Pair = tuple[tuple[str, int], tuple[str, int]]


def pairwise(options: Mapping[str, Sequence[Any]], most: int = MOST) -> list[dict[str, Any]]:
    """Return assignments in which every two values of different arguments meet, as few as a greedy search finds.

    Args:
        options: The values of each argument, first the one that it has anyway.
        most: The number after which pairs are left that never meet.

    Returns:
        The assignments but the one in which every argument has its first value.

    Example:
        >>> from layerwright.cases.pairwise import pairwise
        >>> pairwise({"padding": ["valid", "same"], "use_bias": [True, False]})
        [{'padding': 'same', 'use_bias': False}, {'padding': 'same', 'use_bias': True},
         {'padding': 'valid', 'use_bias': False}]
    """
    if len(options) < 2:
        return [{name: value} for name, values in options.items() for value in values[1:]][:most]
    usual = dict.fromkeys(options, 0)
    left = {
        ((first, one), (second, other))
        for first, second in combinations(options, 2)
        for one, other in product(range(len(options[first])), range(len(options[second])))
    } - _pairs(usual)
    rows: list[dict[str, int]] = []
    while left and len(rows) < most:
        rows.append(_row(options, left))
        left -= _pairs(rows[-1])
    return [{name: options[name][place] for name, place in row.items()} for row in rows]


def _row(options: Mapping[str, Sequence[Any]], left: set[Pair]) -> dict[str, int]:
    """Start from a pair that has not met, the one with the most other values, and add the value that meets most."""
    start = max(left, key=lambda pair: (pair[0][1] + pair[1][1], str(pair)))
    row = dict(start)
    for name in options:
        if name not in row:
            row[name] = max(range(len(options[name])), key=lambda place, name=name: _meets(row, name, place, left))  # type: ignore[misc]
    return {name: row[name] for name in options}


def _meets(row: Mapping[str, int], name: str, place: int, left: set[Pair]) -> int:
    return sum(
        ((other, there), (name, place)) in left or ((name, place), (other, there)) in left
        for other, there in row.items()
    )


def _pairs(row: Mapping[str, int]) -> set[Pair]:
    return set(combinations(row.items(), 2))


def expanded(case: Case) -> list[Case]:
    """Return the case, then one for each combination of the values that its `variants` list.

    A combination of several values is `combined`: the author declared each value, not that they go together.
    """
    base = replace(case, variants={})
    options = {name: (case.init.get(name, DEFAULT), *values) for name, values in case.variants.items()}
    rows = pairwise(options) if options else []
    variants = [(with_arguments(base, row), _changes(row, options) > 1) for row in rows]
    return [base, *(replace(case, combined="values" if several else "") for case, several in variants)]


def _changes(row: Mapping[str, Any], options: Mapping[str, Sequence[Any]]) -> int:
    return sum(value is not options[name][0] for name, value in row.items())


def with_arguments(case: Case, changed: Mapping[str, Any]) -> Case:
    """Return the case with other constructor arguments; one that is `DEFAULT` is left as the case has it."""
    given = {name: value for name, value in changed.items() if value is not DEFAULT}
    return replace(case, init={**case.init, **given}, name=f"{case.name} with {given}" if case.name else "")
