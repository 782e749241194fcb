"""The file's own use of the layer: a function that calls it behind `keras.Input`, or the script under `__main__`."""

import ast
import inspect
from collections.abc import Iterator, Mapping
from typing import Any

from layerwright.cases.conventions import values_for
from layerwright.cases.evidence.kinds import Subject
from layerwright.cases.observation import Use, observing
from layerwright.cases.tolerant import OutOfTimeError, Runner

PLACE = 0

MOST_FUNCTIONS = 6
TENSORS = frozenset({"x", "inputs", "input", "tensor", "input_tensor", "query", "key", "value", "tokens", "images"})


def evidence(subject: Subject) -> Iterator[Use]:
    """Yield how the layer is constructed and called when functions of its module are run, as far as they run."""
    if subject.module is None or not inspect.isclass(subject.layer):
        return
    functions = {
        node.name: node
        for node in subject.tree.body
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("test")
    }
    reaching = _reaching(subject.name, subject.tree, functions)
    users = [functions[name] for name in functions if name in reaching][:MOST_FUNCTIONS]
    budget = subject.budget.share(0.4)
    with observing(lambda layer: layer is subject.layer) as seen:
        for body, scope in [*_scripts(subject, reaching), *((one.body, _scope(subject, one)) for one in users)]:
            try:
                Runner(scope, budget.is_over, functions, subject.file).run(body)
            except OutOfTimeError:
                break
            if seen.called:
                break
    yield from seen.called
    yield from seen.constructed


def _scripts(subject: Subject, reaching: set[str]) -> Iterator[tuple[list[ast.stmt], dict[str, Any]]]:
    """Yield what runs only if the module is the script, if it reaches the layer."""
    for node in subject.tree.body:
        if isinstance(node, ast.If) and "__name__" in ast.dump(node.test) and _names(node) & {subject.name, *reaching}:
            yield node.body, dict(vars(subject.module))


def _reaching(layer: str, tree: ast.Module, functions: Mapping[str, ast.FunctionDef]) -> set[str]:
    """Return the functions that construct the layer, themselves or by way of functions and classes of the file."""
    bodies: dict[str, ast.AST] = {**functions, **{one.name: one for one in tree.body if isinstance(one, ast.ClassDef)}}
    reaching = {layer}
    while True:
        more = {name for name, body in bodies.items() if name not in reaching and _names(body) & reaching}
        if not more:
            return reaching & set(functions)
        reaching |= more


def _names(node: ast.AST) -> set[str]:
    return {inner.id for inner in ast.walk(node) if isinstance(inner, ast.Name)}


def _scope(subject: Subject, function: ast.FunctionDef) -> dict[str, Any]:
    """Return a namespace for a function's body.

    Its parameters have the values that the file gives them where it calls the function, or else their defaults, or
    values by convention.
    """
    scope = dict(vars(subject.module))
    live = getattr(subject.module, function.name, None)
    parameters = inspect.signature(live).parameters if inspect.isfunction(live) else {}
    given = _given(subject, function.name, list(parameters))
    for name, parameter in parameters.items():
        if name in given:
            scope[name] = given[name]
        elif parameter.default is not inspect.Parameter.empty:
            scope[name] = parameter.default
        elif name.lower() in TENSORS:
            scope.pop(name, None)
        elif parameter.kind not in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL):
            scope[name] = _shape(name, function) or values_for(name, parameter)[0]()
    return scope


def _given(subject: Subject, name: str, parameters: list[str]) -> dict[str, Any]:
    """Return the arguments with which the file calls one of its functions, as far as its globals tell them."""
    scope = vars(subject.module)
    for node in ast.walk(subject.tree):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == name):
            continue
        pairs = [*zip(parameters, node.args, strict=False), *((one.arg, one.value) for one in node.keywords if one.arg)]
        given = {parameter: found[0] for parameter, value in pairs if (found := _value(value, scope))}
        if given:
            return given
    return {}


def _value(node: ast.expr, scope: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return the value of a literal, a global, or a tuple of these, as the only item; nothing for anything else."""
    if isinstance(node, ast.Constant):
        return (node.value,)
    if isinstance(node, ast.Name):
        value = scope.get(node.id)
        return (value,) if isinstance(value, (int, float, str, tuple, list)) else ()
    if isinstance(node, (ast.Tuple, ast.List)):
        parts = [_value(one, scope) for one in node.elts]
        values = [part[0] for part in parts if part]
        return ((tuple(values) if isinstance(node, ast.Tuple) else values),) if len(values) == len(parts) else ()
    return ()


def _shape(name: str, function: ast.FunctionDef) -> tuple[int, ...] | None:
    if "shape" not in name.lower():
        return None
    text = ast.dump(function).lower()
    return (32, 32, 3) if "image" in text or "2d" in text else (12, 6)
