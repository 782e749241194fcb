"""Ids of runs: the runs of one case on several backends share an id, which no other case of the report has."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator

from layerwright.core.case import Case


def case_id(target: str, text: str, number: int) -> str:
    """Return the id of a case: the same for the same code, from one invocation and one backend to the next.

    Args:
        target: The layer, such as `"my_layers.py:MyLayer"`.
        text: The case in one line, as it was declared.
        number: Which of the layer's cases with this text it is, from 0.
    """
    return hashlib.sha256(f"{target}#{text}#{number}".encode(errors="surrogateescape")).hexdigest()[:8]


def numbered(cases: Iterable[Case]) -> Iterator[tuple[Case, int]]:
    """Yield each case with the number of cases before it that have the same layer and text."""
    counts: Counter[tuple[str, str]] = Counter()
    for case in cases:
        key = (target_name(case), str(case))
        yield case, counts[key]
        counts[key] += 1


def layer_name(case: Case) -> str:
    """Return the name of a case's layer, or of the function that makes it."""
    return str(getattr(case.layer, "__name__", "layer"))


def target_name(case: Case) -> str:
    """Return where a case's layer comes from, such as `"my_package.layers:MyLayer"`."""
    return f"{getattr(case.layer, '__module__', '?')}:{getattr(case.layer, '__qualname__', type(case.layer).__name__)}"
