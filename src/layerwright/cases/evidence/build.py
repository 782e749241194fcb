"""The body of `build` and of `compute_output_shape`: which places of the input's shape they read."""

import ast
from collections.abc import Iterator

from layerwright.cases.evidence.kinds import Facts, Key, Subject, TensorFacts, constant, name_of

PLACE = 40


def evidence(subject: Subject) -> Iterator[Facts]:
    """Yield the rank, or the several shapes, that `build` and `compute_output_shape` read."""
    for name in ("build", "compute_output_shape"):
        method = subject.methods.get(name)
        if method is not None and len(method.args.args) == 2:
            facts = _facts(method, method.args.args[1].arg, name)
            if facts is not None:
                yield facts


def _facts(method: ast.FunctionDef, shape: str, name: str) -> Facts | None:
    several: dict[Key | None, TensorFacts] = {}
    whole = TensorFacts()
    for node in ast.walk(method):
        if isinstance(node, ast.Subscript) and isinstance(node.value, ast.Subscript):
            key, index = constant(node.value.slice), constant(node.slice)
            if name_of(node.value.value) == shape and isinstance(key, (int, str)) and not isinstance(key, bool):
                several[key] = several.get(key, TensorFacts()).with_less_known(_reads(index))
        elif isinstance(node, ast.Subscript) and name_of(node.value) == shape:
            whole = whole.with_less_known(_reads(constant(node.slice)))
        elif isinstance(node, ast.Assign) and name_of(node.value) == shape:
            several |= _unpacked(method, node.targets[0])
            whole = whole.with_less_known(_unpacked_sizes(node.targets[0], several))
        elif isinstance(node, ast.Compare) and _is_length_of(node.left, shape):
            wanted = constant(node.comparators[0])
            if isinstance(wanted, int) and isinstance(node.ops[0], (ast.Eq, ast.NotEq)):
                whole = whole.with_less_known(TensorFacts(rank=wanted))
    if several:
        numbers = [key for key in several if isinstance(key, int) and key >= 0]
        keys: tuple[Key, ...] = (
            tuple(range(max(2, max(numbers) + 1))) if numbers else tuple(key for key in several if key is not None)
        )
        return Facts(f"{name}() reads several shapes", keys, several)
    if whole == TensorFacts():
        return None
    return Facts(f"{name}() reads the input's shape", tensors={None: whole})


def _reads(index: object) -> TensorFacts:
    if not isinstance(index, int):
        return TensorFacts()
    return TensorFacts(least_rank=index + 1 if index >= 0 else -index)


def _unpacked(method: ast.FunctionDef, target: ast.expr) -> dict[Key | None, TensorFacts]:
    """Return the several shapes that a statement unpacks, if the method reads the names as shapes."""
    names = [name_of(one) for one in target.elts] if isinstance(target, (ast.Tuple, ast.List)) else []
    read: dict[str, TensorFacts] = {}
    for node in ast.walk(method):
        if isinstance(node, ast.Subscript) and name_of(node.value) in names:
            index = constant(node.slice)
            name = name_of(node.value)
            read[name] = read.get(name, TensorFacts()).with_less_known(_reads(index))
    return {place: read.get(name, TensorFacts()) for place, name in enumerate(names)} if read else {}


def _unpacked_sizes(target: ast.expr, several: object) -> TensorFacts:
    if not isinstance(target, (ast.Tuple, ast.List)) or several:
        return TensorFacts()
    if any(isinstance(one, ast.Starred) for one in target.elts):
        return TensorFacts(least_rank=len(target.elts) - 1)
    return TensorFacts(rank=len(target.elts))


def _is_length_of(node: ast.expr, shape: str) -> bool:
    return (
        isinstance(node, ast.Call)
        and name_of(node.func) == "len"
        and len(node.args) == 1
        and name_of(node.args[0]) == shape
    )
