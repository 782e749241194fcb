"""What importing the module did with the layer: a script constructs and calls its layers at its top level."""

from collections.abc import Iterator

from layerwright.cases.evidence.kinds import Subject
from layerwright.cases.imports import seen_at_import
from layerwright.cases.observation import Use

PLACE = 1


def evidence(subject: Subject) -> Iterator[Use]:
    """Yield how the layer was constructed and called while its module was imported."""
    seen = seen_at_import(getattr(subject.layer, "__module__", ""))
    yield from (use for use in seen if use.layer is subject.layer)
