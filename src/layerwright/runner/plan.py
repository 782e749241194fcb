"""The plan that every door follows: what is inferred of a case, in which variants it is checked, what may fail.

`lw.check` and pytest take their cases from `declared_cases`, the command line takes them from a target. From there on
all do the same: `with_expectations`, then `planned`, which is `infer` and `variants_of`. Then `CaseChecker` runs the
checks on each planned case. The command line plans in a worker, once for all backends.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from layerwright.cases.candidates import infer
from layerwright.cases.models import cases_of_model, is_model, model_cases_of_function
from layerwright.cases.pairwise import expanded
from layerwright.cases.sweep import suggested, variant
from layerwright.checks.discovery import check_by_code
from layerwright.core.case import Case, cases_for, traits_from
from layerwright.core.errors import UsageError


def declared_cases(
    layer: Any,
    *,
    init: Mapping[str, Any] | None = None,
    inputs: Any = None,
    call: Mapping[str, Any] | None = None,
    expect: Mapping[str, str] | None = None,
    traits: Mapping[str, Any] | None = None,
) -> Iterator[Case]:
    """Yield the cases that arguments of `lw.check` declare, their variants too; some perhaps still to be inferred.

    Raises:
        UsageError: If `layer` is no layer class, case or model, nor a list of them, or a code or trait is unknown.
    """
    if isinstance(layer, (list, tuple)):
        for one in layer:
            yield from declared_cases(one, init=init, inputs=inputs, call=call, expect=expect, traits=traits)
        return
    if isinstance(layer, Case):
        cases: tuple[Case, ...] = (layer,)
    elif hasattr(layer, "get_config") and not isinstance(layer, type) and is_model(layer):
        cases = tuple(cases_of_model(layer, inputs, traits or {}))
    elif hasattr(layer, "get_config") and not isinstance(layer, type):
        raise UsageError(f"check() takes a layer class, a Case or a model (got the layer {layer!r}); pass its class.")
    elif not callable(layer):
        raise UsageError(f"check() takes a layer class, a Case or a model (got {layer!r}).")
    elif init is not None or inputs is not None or call is not None or traits:
        cases = (Case(layer, init or {}, inputs, call or {}, traits_from(traits or {})),)
    else:
        cases = model_cases_of_function(layer) or cases_for([layer])[layer]
    for case in cases:
        yield from (with_expectations(each, expect) for each in expanded(case))


def with_expectations(case: Case, expect: Mapping[str, str] | None = None) -> Case:
    """Return the case with further checks that are expected to fail, each by its code.

    Raises:
        UsageError: If no check has a code or slug that the case or `expect` names.
    """
    named = {**case.expect, **(expect or {})}
    return replace(case, expect={check_by_code(name).code: reason for name, reason in named.items()})


def planned(case: Case, *, sweep: bool = False) -> list[Case]:
    """Return the cases to check for a declared one: with what it leaves open inferred, then its variants in a sweep."""
    known = infer(case)
    return [known, *(variant(known, changed) for changed in variants_of(known, sweep=sweep))]


def variants_of(known: Case, *, sweep: bool) -> list[dict[str, Any]]:
    """Return the other constructor arguments with which a sweep checks a case whose inputs are known."""
    return suggested(known) if sweep and not known.undetermined else []
