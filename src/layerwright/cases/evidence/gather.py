"""Ask every source of evidence, in the order of how much it is believed."""

import importlib
import pkgutil
from collections.abc import Iterable
from functools import cache
from types import ModuleType
from typing import Any

from layerwright.cases.evidence.kinds import Facts, Known, Subject, Values
from layerwright.cases.observation import Use

FIRST_READER = 10
"""Sources before this place run code that uses the layer; those from it on read the layer itself."""


@cache
def sources() -> tuple[ModuleType, ...]:
    """Return the modules of this package that are sources, the most believed first."""
    package = importlib.import_module("layerwright.cases.evidence")
    modules = [
        importlib.import_module(f"{package.__name__}.{one.name}") for one in pkgutil.iter_modules(package.__path__)
    ]
    return tuple(sorted((one for one in modules if hasattr(one, "PLACE")), key=lambda one: int(one.PLACE)))


def uses(subject: Subject) -> list[Use]:
    """Return how the layer was used elsewhere, the most believed first, calls before constructions."""
    found = [one for source in sources() if source.PLACE < FIRST_READER for one in _asked(source, subject, Use)]
    return sorted(found, key=lambda use: use.inputs is None)


def values(subject: Subject) -> list[Values]:
    """Return the values that sources suggest for constructor arguments."""
    return [one for source in sources() if source.PLACE >= FIRST_READER for one in _asked(source, subject, Values)]


def facts(subject: Subject) -> Known:
    """Return what the sources know of the layer's inputs together."""
    readers = [source for source in sources() if source.PLACE >= FIRST_READER]
    return Known.of([one for source in readers for one in _asked(source, subject, Facts)])


def _asked(source: ModuleType, subject: Subject, kind: type) -> Iterable[Any]:
    try:
        yield from (one for one in source.evidence(subject) if isinstance(one, kind))
    except Exception:  # odd code that a source cannot read says nothing; it must not end the inference
        return
