"""Shapes in docstrings: `(batch, time, features)`, "4D tensor"."""

import inspect
import re
from collections.abc import Iterator

from layerwright.cases.evidence.kinds import Facts, Subject, TensorFacts

PLACE = 45

SHAPE = re.compile(r"\(\s*(?:batch|batch_size|batch size|B|N|bs|None|samples)\s*,([^()]*)\)")
RANK = re.compile(r"\b([2345])\s*-?\s*D\b(?:\s+(?:input|tensor|float))?")
OUTPUT = re.compile(r"(?i)\b(output|returns?)\b")


def evidence(subject: Subject) -> Iterator[Facts]:
    """Yield the rank of the first shape with a batch axis that the docstrings give for an input."""
    for name in ("call", "", "__init__"):
        text = inspect.getdoc(getattr(subject.layer, name, None) if name else subject.layer) or ""
        if _is_keras(getattr(subject.layer, name, None) if name else subject.layer):
            continue
        before_outputs = OUTPUT.split(text, maxsplit=1)[0]
        shape = SHAPE.search(before_outputs) or SHAPE.search(text)
        rank = RANK.search(before_outputs)
        if shape is not None:
            rest = [part for part in shape[1].split(",") if part.strip()]
            if not any("..." in part or "*" in part for part in rest):
                yield Facts(
                    f'the docstring says "{shape[0]}"', tensors={None: TensorFacts(rank=1 + len(rest))}, is_guess=True
                )
                return
        if rank is not None:
            yield Facts(
                f'the docstring says "{rank[0].strip()}"', tensors={None: TensorFacts(rank=int(rank[1]))}, is_guess=True
            )
            return


def _is_keras(thing: object) -> bool:
    return str(getattr(thing, "__module__", "")).startswith("keras.")
