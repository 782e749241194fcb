"""Layers on whole graphs: axis 0 holds nodes or edges, not samples."""

import ast
from collections.abc import Iterator

from layerwright.cases.evidence.kinds import Facts, Subject, TensorFacts, name_of
from layerwright.cases.signatures import call_parameters

PLACE = 20

SEGMENTS = frozenset(
    {"segment_sum", "segment_max", "segment_mean", "segment_min", "unsorted_segment_sum", "unsorted_segment_mean"}
    | {"unsorted_segment_max", "sparse_dense_matmul", "scatter_nd", "tensor_scatter_nd_add"}
)


def evidence(subject: Subject) -> Iterator[Facts]:
    """Yield that axis 0 holds nodes, if `call` sums over segments of it that an input names."""
    call = subject.methods.get("call")
    if call is None:
        return
    nodes = [node for method in subject.methods.values() for node in ast.walk(method)]
    segments = next((node for node in nodes if isinstance(node, ast.Call) and name_of(node.func) in SEGMENTS), None)
    if segments is None:
        return
    why = f"{name_of(segments.func)}() in its code sums over rows: axis 0 holds nodes or edges, not samples"
    yield Facts(why, call=_edges(subject), batch="graph")


def _edges(subject: Subject) -> dict[str, TensorFacts]:
    """Return that call arguments with the usual names for edges hold pairs of node numbers."""
    further = list(call_parameters(subject.layer))[1:]
    return {name: TensorFacts(2, dtype="int32", sizes={1: 2}) for name in further if "edge_ind" in name}
