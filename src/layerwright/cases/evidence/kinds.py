"""What a source of evidence looks at, and what it can say."""

import ast
import inspect
import sys
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from layerwright.cases.budget import Budget
from layerwright.cases.signatures import call_parameters
from layerwright.core.case import Case

Key = int | str
"""Which of several tensors: its place in a list, or its key in a dict."""


@dataclass(frozen=True)
class TensorFacts:
    """What is known of one tensor that a layer takes.

    Attributes:
        rank: The number of axes, batch axis included.
        least_rank: The smallest number of axes that the layer's code reads.
        dtype: Its dtype.
        sizes: Sizes of axes, by axis; negative axes count from the end.
        high: The upper bound of integers, itself excluded.
    """

    rank: int | None = None
    least_rank: int = 1
    dtype: str | None = None
    sizes: Mapping[int, int | None] = field(default_factory=dict)
    high: int | None = None

    def with_less_known(self, other: "TensorFacts") -> "TensorFacts":
        """Return these facts, and what `other` adds to them."""
        return TensorFacts(
            self.rank if self.rank is not None else other.rank,
            max(self.least_rank, other.least_rank),
            self.dtype or other.dtype,
            {**other.sizes, **self.sizes},
            self.high if self.high is not None else other.high,
        )


@dataclass(frozen=True)
class Facts:
    """What one source knows of the inputs.

    Attributes:
        why: What says so, for the report: `"call() unpacks its shape into 4 sizes"`.
        keys: The places or keys of the tensors, if the first call argument is a list or dict of them.
        tensors: What is known of each; under None of the first call argument, if it is one tensor.
        call: What is known of further call arguments, by name.
        is_guess: Whether other possibilities are still tried, after this one.
        batch: The value of the trait `batch`, where the code shows that axis 0 holds no samples.
        has_fixed_keys: Whether the list has just as many tensors as `keys`.
    """

    why: str
    keys: tuple[Key, ...] = ()
    tensors: Mapping[Key | None, TensorFacts] = field(default_factory=dict)
    call: Mapping[str, TensorFacts] = field(default_factory=dict)
    is_guess: bool = False
    batch: str = ""
    has_fixed_keys: bool = True


@dataclass(frozen=True)
class Values:
    """Values that one source suggests for a constructor argument, the likeliest first."""

    why: str
    name: str
    values: tuple[Any, ...]


@dataclass
class Known:
    """What is known of the inputs: from the more believed source first, and the less believed adding to it.

    Attributes:
        keys: The places or keys of several tensors in the first call argument.
        tensors: What is known of each tensor of the first call argument; None stands for the one or for all.
        call: What is known of further call arguments.
        guessed: What only guesses say, in the same way.
        guessed_call: What only guesses say of further call arguments.
        batch: The value of the trait `batch` that the code shows.
        why: What said so.
        has_fixed_keys: Whether the list has just as many tensors as `keys`.
    """

    keys: tuple[Key, ...] = ()
    tensors: dict[Key | None, TensorFacts] = field(default_factory=dict)
    call: dict[str, TensorFacts] = field(default_factory=dict)
    guessed: dict[Key | None, TensorFacts] = field(default_factory=dict)
    guessed_call: dict[str, TensorFacts] = field(default_factory=dict)
    batch: str = ""
    why: list[str] = field(default_factory=list)
    has_fixed_keys: bool = True

    @classmethod
    def of(cls, every: Sequence[Facts]) -> "Known":
        """Return these facts together."""
        known = cls()
        for facts in every:
            if facts.keys and (not known.keys or (facts.has_fixed_keys and not known.has_fixed_keys)):
                known.keys, known.has_fixed_keys = facts.keys, facts.has_fixed_keys
            known.batch = known.batch or facts.batch
            tensors, call = (known.guessed, known.guessed_call) if facts.is_guess else (known.tensors, known.call)
            for key, one in facts.tensors.items():
                tensors[key] = tensors.get(key, TensorFacts()).with_less_known(one)
            for name, one in facts.call.items():
                call[name] = call.get(name, TensorFacts()).with_less_known(one)
            known.why.append(facts.why)
        return known


class Subject:
    """The layer of a case, its source code and the module that defines it.

    Args:
        case: The case.
        instance: A layer that was constructed, if that is possible.
        budget: How long gathering evidence may take.
        infer: Works out the case of another layer of the same module.
        facts: Returns what the sources say of another layer's inputs; None if that leads too far.
    """

    def __init__(
        self,
        case: Case,
        instance: Any,
        budget: Budget,
        infer: Callable[[Case], Case],
        facts: Callable[[Case], Known | None],
    ) -> None:
        self.case = case
        self.instance = instance
        self.budget = budget
        self.infer = infer
        self.facts = facts
        self.layer: Any = case.layer if instance is None or inspect.isclass(case.layer) else type(instance)

    @property
    def name(self) -> str:
        """The name of the layer's class."""
        return str(getattr(self.layer, "__name__", ""))

    @cached_property
    def module(self) -> Any:
        """The module that defines the layer; None if it is not loaded."""
        return sys.modules.get(getattr(self.layer, "__module__", ""))

    @property
    def file(self) -> str:
        """The path of the module's file."""
        return str(getattr(self.module, "__file__", None) or "<evidence>")

    @cached_property
    def tree(self) -> ast.Module:
        """The module's source code; empty if there is none."""
        try:
            return ast.parse(inspect.getsource(self.module))
        except (OSError, TypeError, SyntaxError, ValueError):
            return ast.Module([], [])

    def method(self, name: str) -> ast.FunctionDef | None:
        """Return the source of a method that is not Keras's own, wherever the class inherits it from."""
        function = inspect.unwrap(getattr(self.layer, name, None) or _nothing)
        if not inspect.isfunction(function) or function is _nothing or function.__module__.startswith("keras."):
            return None
        try:
            tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
        except (OSError, SyntaxError, ValueError):
            return None
        node = tree.body[0] if tree.body else None
        return node if isinstance(node, ast.FunctionDef) else None

    @cached_property
    def methods(self) -> dict[str, ast.FunctionDef]:
        """The source of every method of the class and of its bases outside Keras, by name."""
        found = {name: self.method(name) for name in dir(self.layer) if not name.startswith("__") or name == "__init__"}
        return {name: node for name, node in found.items() if node is not None}

    def known_of(self, name: str) -> Known | None:
        """Return what is known of the inputs of another layer that the same module defines; None if it is no such."""
        other = getattr(self.module, name, None)
        if not inspect.isclass(other) or other is self.layer or other.__module__ != self.layer.__module__:
            return None
        return self.facts(Case(other)) if hasattr(other, "call") else None

    @cached_property
    def first_argument(self) -> str:
        """The name of the first call argument."""
        return next(iter(call_parameters(self.layer)), "inputs")


def _nothing() -> None:
    """Stand for a method that a class does not have."""


def name_of(node: ast.AST) -> str:
    """Return the last name of an expression such as `keras.layers.Dense`; empty if it has none."""
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


def constant(node: ast.AST | None) -> Any:
    """Return the value of a literal; None if it is something else."""
    try:
        return ast.literal_eval(node) if node is not None else None
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return None
