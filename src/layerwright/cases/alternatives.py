"""Another valid value for a constructor argument, by convention: its name, its present value, what the docs list."""

import inspect
import math
import re
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

BASE_ARGUMENTS = frozenset({"name", "dtype", "trainable", "autocast"})
"""What every Keras layer's constructor takes: LW109 looks at them."""

MOST = 3
"""How many candidates are tried for one argument."""

SIDE_EFFECTS = re.compile(
    r"(.*_)?(pretrained|weights|paths?|file|filename|url|cache|download|preset|checkpoint|verbose|debug|log)(_.*)?"
)
"""Names that suggest files, downloads or output: such arguments are left alone."""

HOW_TO_COMPUTE = re.compile(r"use_cudnn|flash_attention|implementation")
"""Names of arguments that choose how to compute the same: whether a config loses them does not show in outputs."""

TEXT_BY_NAME = {
    "activation": ("tanh", "relu"),
    "initializer": ("ones", "zeros"),
    "regularizer": ("l2", "l1"),
    "constraint": ("non_neg", "unit_norm"),
    "data_format": ("channels_first", "channels_last"),
}
"""Values for arguments of this name or with it as their last word, whether they hold text, an object or None."""

TEXT_GROUPS = (
    ("valid", "same", "causal"),
    ("channels_last", "channels_first"),
    ("concat", "sum", "mul", "ave"),
    ("sum", "mean", "max", "min"),
    ("avg", "max"),
    ("nearest", "bilinear", "bicubic"),
    ("constant", "nearest", "reflect", "wrap"),
    ("int", "one_hot", "multi_hot", "count"),
    ("pre", "post"),
    ("add", "multiply", "concat"),
    ("dot", "concat"),
    ("fan_in", "fan_out", "fan_avg"),
    ("relu", "tanh", "sigmoid", "gelu", "silu", "swish", "elu", "linear", "softmax"),
    ("glorot_uniform", "ones", "zeros", "orthogonal", "he_normal", "uniform"),
)
"""Texts of which one can usually stand for another."""

NONE_BY_NAME = (
    (r"(.*_)?(axis|axes)", (-1, 1)),
    (r"seed", (1337,)),
    (r"(.*_)?(index|id)", (1, 0)),
    (r"(use|return|is|with|has)_.*|.*_bias", (True,)),
    (r"(num|max|min)_.*|(.*_)?(units|filters|size|dim|depth|length|groups|heads|rank|window|channels)", (3, 2)),
    (
        r"(.*_)?(rate|dropout|scale|temperature|alpha|beta|gamma|epsilon|momentum|decay|factor|threshold|value|norm"
        r"|clip|weight|strength|slope)",
        (0.5,),
    ),
)
"""Values for arguments that are None, by a pattern for their name."""


BESIDE_LITERALS = {float: 0.5, int: 2, type(None): None}
"""A value for each type that an annotation may join to a `Literal`."""


@dataclass(frozen=True, eq=False)
class Argument:
    """A constructor argument.

    Attributes:
        name: Its name.
        value: What the case gives for it, or its default.
        others: Other values that may be valid.
        listed: The values that its annotation or the docstring lists; empty if neither does.
        inherited: Whether only a base class names it.
    """

    name: str
    value: Any
    others: list[Any]
    listed: list[Any]
    inherited: bool


def arguments_of(cls: type, given: Mapping[str, Any], config: Mapping[str, Any]) -> Iterator[Argument]:
    """Yield the arguments of a layer's constructor: its own, then those that **kwargs passes on to a base's.

    Args:
        cls: The layer's class.
        given: What the case gives.
        config: The layer's config, for what is not given.
    """
    import keras

    seen = set(BASE_ARGUMENTS)
    owners = [owner for owner in cls.__mro__[: cls.__mro__.index(keras.layers.Layer)] if "__init__" in vars(owner)]
    for owner in owners:
        constructor = vars(owner)["__init__"]
        parameters = list(inspect.signature(constructor).parameters.values())[1:]
        document = f"{inspect.getdoc(owner) or ''}\n{inspect.getdoc(constructor) or ''}"
        for parameter in parameters:
            named = parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
            if not named or parameter.name in seen or HOW_TO_COMPUTE.fullmatch(parameter.name):
                continue
            seen.add(parameter.name)
            default = None if parameter.default is parameter.empty else parameter.default
            value = given.get(parameter.name, config.get(parameter.name, default))
            others = alternatives(parameter.name, value, parameter.annotation, document)
            listed = [*_annotated(parameter.annotation), *_documented(parameter.name, document)]
            yield Argument(parameter.name, value, others, listed, owner is not owners[0])
        if not any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
            return


def alternatives(name: str, value: Any, annotation: Any = None, document: str = "") -> list[Any]:
    """Return at most three other values for an argument, the likeliest to be valid first.

    Args:
        name: The argument's name.
        value: What it is now.
        annotation: Its type annotation, if it has one.
        document: The docstring that describes it.
    """
    if SIDE_EFFECTS.fullmatch(name):
        return []
    candidates = [*_annotated(annotation), *_candidates(name, value, document)]
    different: list[Any] = []
    for candidate in candidates:
        if not _same(candidate, value) and not any(_same(candidate, other) for other in different):
            different.append(candidate)
    return different[:MOST]


def _candidates(name: str, value: Any, document: str) -> Iterator[Any]:
    if isinstance(value, bool):
        yield not value
    elif isinstance(value, int):
        yield from _whole_numbers(name, value)
    elif isinstance(value, float):
        yield from _numbers(value)
    elif isinstance(value, (list, tuple)):
        yield from _sequences(name, value)
    elif isinstance(value, np.ndarray):
        yield value / 2 if value.dtype.kind == "f" else value[::-1].copy()
    elif isinstance(value, str):
        listed = _documented(name, document)
        yield from listed if value in listed else ()
        yield from _by_last_words(name)
        yield from (text for group in TEXT_GROUPS if value in group for text in group)
    elif value is None or callable(value) or hasattr(value, "get_config") or isinstance(value, dict):
        yield from _by_last_words(name)
        yield from _for_none(name, document) if value is None else ()


def _whole_numbers(name: str, value: int) -> Iterator[int]:
    if re.fullmatch(r"(.*_)?(axis|axes)", name):
        yield from (-2, 1) if value == -1 else (-1, value + 1)
    else:
        yield from (value + 1, 2 * value)
        yield from (value // 2, 1) if value > 1 else (1,)


def _numbers(value: float) -> Iterator[float]:
    if not math.isfinite(value):
        yield 1.0
    elif value == 0:
        yield from (0.5, 0.1)
    elif abs(value) < 0.05:
        yield from (0.3, 2 * value)
    elif 0 < value < 1:
        yield from (value / 2, (1 + value) / 2)
    else:
        yield from (value / 2, value * 2)


def _sequences(name: str, values: Any) -> Iterator[Any]:
    kind = type(values) if type(values) in (list, tuple) else list
    if len(values) > 1 and list(values) != list(reversed(values)):
        yield kind(reversed(values))
    options = [alternatives(name if isinstance(value, str) else "", value) for value in values]
    for choice in range(2):
        if options and all(len(option) > choice for option in options):
            yield kind(option[choice] for option in options)


def _for_none(name: str, document: str) -> Iterator[Any]:
    yield from _documented(name, document)
    for pattern, values in NONE_BY_NAME:
        if re.fullmatch(pattern, name):
            yield from values


def _by_last_words(name: str) -> Iterator[str]:
    for words, texts in TEXT_BY_NAME.items():
        if name == words or name.endswith(f"_{words}"):
            yield from texts


def _annotated(annotation: Any) -> Iterator[Any]:
    """Yield the values that a `Literal` annotation allows, and what it allows beside them: a number, None."""
    if typing.get_origin(annotation) is typing.Literal:
        yield from typing.get_args(annotation)
        return
    parts = typing.get_args(annotation)
    literals = [part for part in parts if typing.get_origin(part) is typing.Literal]
    for literal in literals:
        yield from typing.get_args(literal)
    if literals:
        yield from (value for kind, value in BESIDE_LITERALS.items() if kind in parts)


def _documented(name: str, document: str) -> list[str]:
    """Return the words in quotation marks in the paragraph of a docstring that describes an argument."""
    found = re.search(
        rf"^(\s*)`?{re.escape(name)}`?\s*(\([^)]*\))?:(.*(?:\n(?!\1`?\w+`?\s*(?:\([^)]*\))?:).*)*)", document, re.M
    )
    return re.findall(r"[\"']([A-Za-z][\w-]*)[\"']", found[3].split("\n\n")[0]) if found else []


def _same(first: Any, second: Any) -> bool:
    return type(first) is type(second) and bool(np.all(first == second))
