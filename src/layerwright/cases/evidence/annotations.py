"""Annotations of call arguments: `inputs: list[Tensor]`, `tokens: "int32"`."""

import inspect
from collections.abc import Iterator

from layerwright.cases.evidence.kinds import Facts, Subject
from layerwright.cases.signatures import call_parameters

PLACE = 60


def evidence(subject: Subject) -> Iterator[Facts]:
    """Yield that the first call argument is a list, where its annotation says so."""
    parameters = call_parameters(subject.layer)
    if not parameters:
        return
    annotation = next(iter(parameters.values())).annotation
    if annotation is inspect.Parameter.empty:
        return
    text = annotation if isinstance(annotation, str) else getattr(annotation, "__name__", str(annotation))
    words = str(text).lower()
    if words.startswith(("list", "tuple", "typing.list", "typing.tuple", "sequence")) and "int" not in words:
        count = max(2, words.count("tensor"))
        yield Facts(f"call() annotates its first argument as {text}", keys=tuple(range(count)))
