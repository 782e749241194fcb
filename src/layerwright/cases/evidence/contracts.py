"""Contracts of Keras: `input_spec`, and the states that the cell of a recurrent layer takes."""

from collections.abc import Iterator
from typing import Any

from layerwright.cases.evidence.kinds import Facts, Subject, TensorFacts
from layerwright.cases.signatures import call_parameters

PLACE = 10


def evidence(subject: Subject) -> Iterator[Facts]:
    """Yield what `input_spec` and `state_size` of a constructed layer say."""
    layer = subject.instance
    if layer is None:
        return
    yield from _specified(layer)
    yield from _cell(layer)


def _specified(layer: Any) -> Iterator[Facts]:
    spec = getattr(layer, "input_spec", None)
    if spec is None:
        return
    if isinstance(spec, (list, tuple)) and len(spec) > 1:
        yield Facts("input_spec", tuple(range(len(spec))), {place: _of(one) for place, one in enumerate(spec)})
        return
    one = spec[0] if isinstance(spec, (list, tuple)) and spec else spec
    if hasattr(one, "ndim"):
        yield Facts("input_spec", tensors={None: _of(one)})


def _of(spec: Any) -> TensorFacts:
    if spec is None:
        return TensorFacts()
    shape = tuple(spec.shape) if getattr(spec, "shape", None) is not None else ()
    sizes = {axis: size for axis, size in enumerate(shape) if axis and size is not None}
    sizes |= {int(axis): size for axis, size in (spec.axes or {}).items() if size is not None}
    return TensorFacts(rank=spec.ndim or len(shape) or None, least_rank=spec.min_ndim or 1, sizes=sizes)


def _cell(layer: Any) -> Iterator[Facts]:
    """Yield the inputs of a recurrent cell: one step, and a list of states of the sizes that it declares."""
    size = getattr(layer, "state_size", None)
    names = list(call_parameters(type(layer)))
    if size is None or len(names) < 2 or "state" not in names[1]:
        return
    sizes = list(size) if isinstance(size, (list, tuple)) else [size]
    if not all(isinstance(one, int) for one in sizes):
        return
    states = {f"{names[1]}[{place}]": TensorFacts(2, sizes={1: one}) for place, one in enumerate(sizes)}
    yield Facts("state_size: the layer is a recurrent cell", tensors={None: TensorFacts(rank=2)}, call=states)
