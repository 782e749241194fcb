"""The cases of a target: those that it declares, those of a model, or one for each layer, still to be inferred."""

import difflib
import inspect
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from layerwright.cases.loading import layers_of, load, load_model
from layerwright.cases.models import cases_of_model, is_model, made_by, parameters_without_default
from layerwright.cases.pairwise import expanded
from layerwright.cases.signatures import accepts, call_parameters, constructor_arguments, is_required
from layerwright.cases.targets import Overrides, Target
from layerwright.core.case import Case, cases_for
from layerwright.core.errors import UsageError, quote


def find_cases(target: Target, overrides: Overrides) -> list[Case]:
    """Load the target and return its layers' cases, some perhaps still to be inferred.

    Raises:
        UsageError: If it cannot be imported, or holds no such layer.
    """
    module = load(target)
    if target.is_model_file:
        return [_expecting(case, overrides) for case in _cases_of_model(load_model(target), target, overrides)]
    named = getattr(module, target.layer, None) if target.layer else None
    if isinstance(named, (Case, list, tuple)) or inspect.isfunction(named) or is_model(named):
        found = _cases_of(named, target, overrides)
        if any(case.traits.model for case in found):
            return [_expecting(case, overrides) for case in found]
        _check_is_taken(overrides.init, [case.layer for case in found], target)
        return [_override(each, overrides) for case in found for each in expanded(case)]
    layers = layers_of(module, target)
    _check_is_taken(overrides.init, layers, target)
    cases = cases_for(layers)
    return [_override(each, overrides) for layer in layers for case in cases[layer] for each in expanded(case)]


def _cases_of(named: Any, target: Target, overrides: Overrides) -> list[Case]:
    """Return the cases that a name stands for: a case, a list of them, a model, or a function that returns one."""
    if is_model(named):
        return _cases_of_model(named, target, overrides)
    found = named
    if inspect.isfunction(named):
        missing = parameters_without_default(named)
        if missing:
            raise UsageError(
                f"{target.text} cannot be called: it needs {', '.join(missing)}; give each argument a default, or give "
                "a function without arguments that calls it."
            )
        try:
            found = made_by(named, _inputs_for_model(overrides))
        except Exception as error:
            raise UsageError(
                f"{target.text}() raised {quote(error)}; it must return a model, a layer, a Case or a list of Cases."
            ) from error
    cases = [found] if isinstance(found, Case) else found
    if not isinstance(cases, (list, tuple)) or not cases or not all(isinstance(case, Case) for case in cases):
        raise UsageError(
            f"{target.text} is neither a layer nor a model, a Case or a list of Cases (got {found!r:.80})."
        )
    return list(cases)


def _cases_of_model(model: Any, target: Target, overrides: Overrides) -> list[Case]:
    try:
        return cases_of_model(model, _inputs_for_model(overrides))
    except Exception as error:
        raise UsageError(
            f"{target.text} cannot be taken apart: {quote(error)}; give a function that builds it."
        ) from error


def _inputs_for_model(overrides: Overrides) -> Any:
    """Return the inputs that the command line gives a model; None if it gives none."""
    named = {name: spec for name, spec in overrides.inputs if name is not None}
    unnamed = [spec for name, spec in overrides.inputs if name is None]
    return named or (unnamed[0] if len(unnamed) == 1 else unnamed) or None


def _expecting(case: Case, overrides: Overrides) -> Case:
    return replace(case, expect={**case.expect, **overrides.expect})


def _override(case: Case, overrides: Overrides) -> Case:
    init = {**case.init, **{name: value for name, value in overrides.init.items() if accepts(case.layer, name)}}
    case = replace(case, init=init, expect={**case.expect, **overrides.expect})
    if not overrides.inputs:
        return case
    parameters = call_parameters(case.layer)
    names = list(parameters) or ["inputs"]
    unnamed = [spec for name, spec in overrides.inputs if name is None]
    named = {name: spec for name, spec in overrides.inputs if name is not None}
    call = {name: spec for name, spec in named.items() if name in names[1:]}
    keys = {name: spec for name, spec in named.items() if name not in names}
    first: Any = named.get(names[0], keys or None)
    required = sum(map(is_required, parameters.values()))
    if len(names) >= len(unnamed) > 1 and required > 1:
        call |= dict(zip(names[1:], unnamed[1:], strict=False))
        unnamed = unnamed[:1]
    if unnamed:
        first = unnamed[0] if len(unnamed) == 1 else unnamed
    return case.with_inputs(first, {**case.call, **call})


def _check_is_taken(init: Mapping[str, Any], layers: Sequence[Any], target: Target) -> None:
    """Refuse an argument that no layer takes, or that **kwargs would take although it looks like a misspelt one."""
    known = sorted({name for layer in layers for name in constructor_arguments(layer)})
    for name in init:
        close = difflib.get_close_matches(name, known, 1)
        if name in known or (not close and any(accepts(layer, name) for layer in layers)):
            continue
        meant = f"did you mean {close[0]}?" if close else f"the arguments are: {', '.join(known) or 'none'}."
        raise UsageError(f"--init {name}: no layer in {target.text} takes an argument {name!r}; {meant}")
