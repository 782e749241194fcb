"""What the code does with a constructor argument: unpacks it, iterates over it, calls it; and its annotation."""

import ast
import enum
import inspect
import types
import typing
from collections.abc import Callable, Iterator
from typing import Any

from layerwright.cases.evidence.kinds import Subject, Values, name_of
from layerwright.cases.signatures import constructor_parameters, is_required

PLACE = 70

WORDS: dict[str, tuple[Any, ...]] = {
    "int": (12,),
    "float": (0.5,),
    "bool": (True,),
    "list": ([4, 6], ["a", "b", "c"]),
    "sequence": ([4, 6],),
    "tuple": ((2, 2),),
    "dict": ({},),
    "list[int]": ([4, 6],),
    "list[str]": (["a", "b", "c"],),
    "list[float]": ([0.5, 1.5],),
    "tuple[int, int]": ((2, 2),),
    "sequence[int]": ([4, 6],),
    "sequence[str]": (["a", "b", "c"],),
}


def evidence(subject: Subject) -> Iterator[Values]:
    """Yield values for required constructor arguments."""
    used = _uses(subject)
    for name, parameter in constructor_parameters(subject.layer).items():
        if not is_required(parameter) or name in subject.case.init:
            continue
        values = tuple(_annotated(parameter.annotation))
        if values:
            yield Values(f"the annotation of {name}", name, values)
        for kind in used.get(name, ()):
            yield Values(f"the code {kind} {name}", name, _MAKERS[kind]())


def _annotated(annotation: Any) -> Iterator[Any]:
    if annotation is inspect.Parameter.empty:
        return
    if typing.get_origin(annotation) is typing.Literal:
        yield from typing.get_args(annotation)[:2]
    elif isinstance(annotation, type) and issubclass(annotation, enum.Enum):
        yield from list(annotation)[:2]
    elif typing.get_origin(annotation) in (typing.Union, types.UnionType):
        for part in typing.get_args(annotation):
            yield from _annotated(part) if part is not type(None) else ()
    else:
        yield from _by_word(annotation)


def _by_word(annotation: Any) -> Iterator[Any]:
    text = annotation if isinstance(annotation, str) else getattr(annotation, "__name__", "")
    if not isinstance(annotation, str) and typing.get_args(annotation):
        text = str(annotation)
    text = str(text).replace("typing.", "").replace("Optional[", "").lower().split(" | ")[0]
    if text.endswith("ndarray"):
        yield from _arrays()
    elif text in ("callable", "collections.abc.callable"):
        yield from _functions()
    elif text in ("layer", "keras.layers.layer", "keras.layer", "layers.layer"):
        yield from _sublayers()
    else:
        yield from WORDS.get(text, ())


def _uses(subject: Subject) -> dict[str, tuple[str, ...]]:
    """Return how the code uses each constructor argument, as keys of `_MAKERS`."""
    init = subject.methods.get("__init__")
    if init is None:
        return {}
    names = {argument.arg for argument in (*init.args.args, *init.args.kwonlyargs)} - {"self"}
    held = {
        node.targets[0].attr: name_of(node.value)
        for node in ast.walk(init)
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Attribute) and name_of(node.value) in names
    }
    found: dict[str, list[str]] = {}
    for method in subject.methods.values():
        for node in ast.walk(method):
            for name, kind in _use(node, names if method is init else set(), held):
                found.setdefault(name, []).append(kind)
    return {name: tuple(dict.fromkeys(kinds)) for name, kinds in found.items()}


def _use(node: ast.AST, names: set[str], held: dict[str, str]) -> Iterator[tuple[str, str]]:
    def argument(expression: ast.AST) -> str:
        if isinstance(expression, ast.Name) and expression.id in names:
            return expression.id
        if isinstance(expression, ast.Attribute) and name_of(expression.value) == "self":
            return held.get(expression.attr, "")
        return ""

    if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Tuple) and argument(node.value):
        yield argument(node.value), "unpacks"
    elif isinstance(node, (ast.For, ast.comprehension)):
        target = node.iter
        if isinstance(target, ast.Call) and name_of(target.func) in ("enumerate", "zip", "reversed") and target.args:
            target = target.args[0]
        if argument(target):
            yield argument(target), "iterates over"
    elif isinstance(node, ast.Call) and name_of(node.func) == "len" and node.args and argument(node.args[0]):
        yield argument(node.args[0]), "iterates over"
    elif isinstance(node, ast.Call) and argument(node.func):
        yield argument(node.func), "calls"
    elif isinstance(node, ast.Subscript) and argument(node.value):
        yield argument(node.value), "indexes"
    elif isinstance(node, ast.Attribute) and argument(node.value):
        if node.attr in ("compute_output_shape", "trainable_weights", "build", "built", "output_shape", "units"):
            yield argument(node.value), "uses as a layer"
        elif node.attr in ("state_size", "output_size"):
            yield argument(node.value), "uses as a recurrent cell"
        elif node.attr in ("shape", "astype", "ndim"):
            yield argument(node.value), "uses as an array"
        elif node.attr in ("items", "keys", "values"):
            yield argument(node.value), "uses as a dict"


def _arrays() -> tuple[Any, ...]:
    import numpy as np

    return (np.linspace(-1.0, 1.0, 32, dtype="float32").reshape(8, 4), np.arange(32).reshape(8, 4) % 5)


def _functions() -> tuple[Any, ...]:
    import keras

    return (keras.ops.tanh,)


def _sublayers() -> tuple[Any, ...]:
    import keras

    return (keras.layers.Dense(5),)


def _called() -> tuple[Any, ...]:
    return (*_sublayers(), *_functions())


def _cells() -> tuple[Any, ...]:
    import keras

    return (keras.layers.SimpleRNNCell(6),)


_MAKERS: dict[str, Callable[[], tuple[Any, ...]]] = {
    "unpacks": lambda: ((2, 2), (2, 2, 2)),
    "iterates over": lambda: ([4, 6], ["a", "b", "c"]),
    "calls": _called,
    "indexes": lambda: ((2, 2), [4, 6], {"a": 2}),
    "uses as a layer": _sublayers,
    "uses as a recurrent cell": _cells,
    "uses as an array": _arrays,
    "uses as a dict": lambda: ({"a": 4, "b": 6},),
}
