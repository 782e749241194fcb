"""Ids of runs: the runs of one case on several backends share an id, which no other case of the report has."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from layerwright.core.case import Case
from layerwright.report.report import Run


def case_id(target: str, number: int, changed: Mapping[str, Any] | None = None) -> str:
    """Return the id of a case: the same for the same code, from one invocation to the next.

    Args:
        target: The layer, such as `"my_layers.py:MyLayer"`.
        number: Which of the layer's cases it is, from 0.
        changed: Constructor arguments that a sweep changed.
    """
    text = f"{target}#{number}#{dict(changed or {})}"
    return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()[:8]


def with_ids(runs: Iterable[Run]) -> tuple[Run, ...]:
    """Return runs of one backend with their ids, each numbered among those of its target."""
    counts: Counter[str] = Counter()
    named = []
    for run in runs:
        named.append(replace(run, id=case_id(run.target, counts[run.target])))
        counts[run.target] += 1
    return tuple(named)


def layer_name(case: Case) -> str:
    """Return the name of a case's layer, or of the function that makes it."""
    return str(getattr(case.layer, "__name__", "layer"))


def target_name(case: Case) -> str:
    """Return where a case's layer comes from, such as `"my_package.layers:MyLayer"`."""
    return f"{getattr(case.layer, '__module__', '?')}:{getattr(case.layer, '__qualname__', type(case.layer).__name__)}"
