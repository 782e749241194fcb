"""Other layers and models of the same file that construct and call the layer."""

import ast
import inspect
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from layerwright.cases.evidence.kinds import Subject
from layerwright.cases.observation import Use, observing
from layerwright.cases.signatures import constructor_parameters, is_required
from layerwright.core.case import Case
from layerwright.core.errors import LayerError
from layerwright.trial.trial import Trial

PLACE = 5

MOST_PARENTS = 2


def evidence(subject: Subject) -> Iterator[Use]:
    """Yield how a parent constructs and calls the layer, where the parent itself can be constructed and called."""
    if not _is_needed(subject):
        return
    for parent in _parents(subject)[:MOST_PARENTS]:
        if subject.budget.is_over():
            return
        case = subject.infer(Case(parent))
        known = subject.facts(Case(parent))
        if case.undetermined or known is None:
            continue
        has_rank = any(facts.rank is not None for facts in known.tensors.values())
        with observing(lambda layer: layer is subject.layer) as seen:
            _use(case)
        called = seen.called if has_rank else []
        yield from (replace(use, is_guess=True) for use in (*called, *seen.constructed))


def _is_needed(subject: Subject) -> bool:
    """Whether the layer itself leaves open how it is constructed, or which rank its inputs have."""
    if any(is_required(one) for one in constructor_parameters(subject.layer).values()):
        return True
    known = subject.facts(subject.case)
    return known is None or not known.tensors or any(facts.rank is None for facts in known.tensors.values())


def _use(case: Case) -> None:
    """Construct and call a layer, as far as that goes."""
    trial = Trial(case)
    try:
        trial.call(trial.construct(), trial.usual, training=False)
    except (LayerError, SystemExit, MemoryError):
        return


def _parents(subject: Subject) -> list[Any]:
    import keras

    found = []
    for node in subject.tree.body:
        if not isinstance(node, ast.ClassDef) or node.name == subject.name:
            continue
        if subject.name in {inner.func.id for inner in ast.walk(node) if _is_plain_call(inner)}:  # type: ignore[attr-defined]
            parent = getattr(subject.module, node.name, None)
            if inspect.isclass(parent) and issubclass(parent, keras.layers.Layer):
                found.append(parent)
    return found


def _is_plain_call(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
