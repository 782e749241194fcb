"""How to construct one layer, what inputs to give it and what it claims: `Case`, `InputSpec`, `Traits`."""

import copy
import math
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from types import NoneType
from typing import TYPE_CHECKING, Any, Literal

from layerwright.core.errors import UsageError
from layerwright.core.finding import jsonable

if TYPE_CHECKING:
    import numpy as np

FREE_SIZES = (6, 5, 9, 8)
"""Sizes of free (`None`) axes after the batch axis, by position. All differ: no axis is mistaken for another."""

STRINGS = ("a", "b", "c", "d")
"""What string tensors are drawn from by default."""


@dataclass(frozen=True)
class InputSpec:
    """One tensor that a layer takes.

    Args:
        shape: The shape with the batch axis first, such as `(None, 10, 5)`. `None` marks an axis of any size.
        dtype: `"float32"`, `"int32"`, `"bool"`, `"string"`, … Floats are drawn from a standard normal distribution
            unless `low` or `high` is given. Integers are drawn from `[low, high)`, by default `[0, 4)`. Booleans are
            padding masks: True up to a length that differs between samples. Strings are drawn from `values`.
        low: The smallest value drawn.
        high: The upper bound of the values drawn, itself excluded.
        values: The strings drawn, by default `"a"` to `"d"`.
    """

    shape: tuple[int | None, ...]
    dtype: str = "float32"
    low: float | None = None
    high: float | None = None
    values: tuple[str, ...] = STRINGS

    def __post_init__(self) -> None:
        object.__setattr__(self, "shape", tuple(self.shape))
        object.__setattr__(self, "values", tuple(self.values))
        if not self.shape:
            raise UsageError("InputSpec: the shape is empty; begin it with the batch axis, such as (None, 10, 5).")
        for size in self.shape:
            if size is not None and (isinstance(size, bool) or not isinstance(size, int) or size < 0):
                raise UsageError(
                    f"InputSpec: each size must be a non-negative integer or None (got {size!r} in {self.shape}); "
                    "write a shape such as (None, 10, 5)."
                )

    def concrete(self, batch: int, free: Mapping[int, int] | None = None, minimum: int = 1) -> tuple[int, ...]:
        """Return the shape with `batch` for axis 0, and for each free axis `free[axis]` or a size of its own.

        Args:
            batch: The size of axis 0.
            free: Sizes of free axes, by axis.
            minimum: The smallest size that a free axis gets where `free` does not give one.
        """
        larger = max(0, minimum - min(FREE_SIZES))
        sizes = {axis: FREE_SIZES[(axis - 1) % len(FREE_SIZES)] + larger for axis in range(1, len(self.shape))}
        sizes |= dict(free or {})
        rest = (sizes[axis] if size is None else size for axis, size in enumerate(self.shape) if axis)
        return (batch, *rest)

    def sample(self, rng: "np.random.Generator", shape: tuple[int, ...]) -> "np.ndarray[Any, Any]":
        """Draw an array of `shape` from this spec's distribution."""
        import numpy as np

        if self.dtype == "bool":
            return _padding_mask(shape)
        if self.dtype == "string":
            return np.asarray(self.values)[rng.integers(0, len(self.values), shape)]
        if "int" in self.dtype:
            bound = 4 if self.high is None else int(self.high)
            return rng.integers(int(self.low or 0), bound, shape).astype(self.dtype)
        if self.low is not None or self.high is not None:
            low, high = self.low or 0.0, 1.0 if self.high is None else self.high
            return rng.uniform(low, high, shape).astype(self.dtype)
        return np.asarray(rng.standard_normal(shape), self.dtype)

    def data(self, samples: int = 32) -> "np.ndarray[Any, Any]":
        """Draw samples, the same at every call."""
        import numpy as np

        return self.sample(np.random.default_rng(0), self.concrete(samples))

    def __str__(self) -> str:
        shape = ", ".join(str(size) for size in self.shape) + ("," if len(self.shape) == 1 else "")
        return f"({shape})" if self.dtype == "float32" else f"({shape}) {self.dtype}"


def _padding_mask(shape: tuple[int, ...]) -> "np.ndarray[Any, Any]":
    """Return a mask over the last axis: sample i is True for its first length - (i mod length) steps, at least one."""
    import numpy as np

    if len(shape) < 2:
        return np.ones(shape, bool)
    length = shape[-1]
    valid = length - np.arange(shape[0]) % max(length, 1)
    mask = np.arange(length) < valid.reshape(-1, *[1] * (len(shape) - 1))
    return np.broadcast_to(mask, shape).copy()


@dataclass(frozen=True)
class Traits:
    """What a layer declares about itself. Checks select by trait, never by a class's name.

    Attributes:
        batch: `"independent"`: no sample sees another. `"coupled-in-training"`: samples see each other only with
            `training=True`, as in batch normalisation. `"coupled"`: samples see each other always. `"graph"`: axis 0
            holds nodes or edges of one graph, and no samples.
        causal: Output step t does not depend on any input step after t.
        receptive_field: How many input steps an output step depends on, its own included.
        random: The layer draws random numbers, in training or always.
        stateful: A call in inference mode changes the layer's state.
        smooth: The output is differentiable in inputs and weights.
        fixed_shape: The layer works only on the shape that it was built for.
        minimum: The smallest size that each axis between batch and features may have.
        time_axis: Which axis of inputs and outputs is time.
        min_rank: The smallest input rank, batch axis included, that the layer is meant for.
        masking: What the layer does with a mask. `"respected"`: if it takes one or declares `supports_masking`, masked
            steps do not influence the others. `"consumed"`: the same, and its outputs carry no mask on purpose.
            `"generated"`: the layer computes a mask from its inputs.
        positional: An output step depends on its position counted from the end, or on the length of the input.
        model: The case is a whole model. Only the checks that apply to models run.
    """

    batch: Literal["independent", "coupled-in-training", "coupled", "graph"] = "independent"
    causal: bool = False
    receptive_field: int | None = None
    random: bool = False
    stateful: bool = False
    smooth: bool = True
    fixed_shape: bool = False
    minimum: int = 1
    time_axis: int = 1
    min_rank: int | None = None
    masking: Literal["respected", "consumed", "generated"] = "respected"
    positional: bool = False
    model: bool = False

    def __post_init__(self) -> None:
        for trait, choices in CHOICES.items():
            value = getattr(self, trait)
            if value not in choices:
                raise UsageError(f"Traits: {trait} must be one of {', '.join(map(repr, choices))} (got {value!r}).")


def with_batch(traits: Traits, batch: str) -> Traits:
    """Return the traits with another value of `batch`."""
    return replace(traits, batch=batch)  # type: ignore[arg-type]  # checked by __post_init__


CHOICES = {
    "batch": ("independent", "coupled-in-training", "coupled", "graph"),
    "masking": ("respected", "consumed", "generated"),
}
TRAIT_NAMES = tuple(trait.name for trait in fields(Traits))


@dataclass(frozen=True)
class Case:
    """How to construct one layer, what inputs and call arguments to give it, and what it claims.

    Args:
        layer: The layer's class, or any function that returns a new layer.
        init: Constructor arguments. Layers and other mutable values are copied for every construction.
        inputs: The first call argument: a shape, an `InputSpec`, or a list, tuple or dict of them. A tuple of sizes
            is a shape; to give several tensors use a list. A `None` beside a spec is passed on as it is. `None` alone:
            the inputs are not known yet and will be inferred.
        call: Further call arguments by name. An `InputSpec`, or a shape that begins with `None`, becomes a tensor, in
            lists and dicts too; a shape given for a mask becomes a tensor of booleans.
        traits: What the layer declares about itself; a `Traits` or a mapping of trait names to values.
        expect: Codes of checks known to fail, each with its reason.
        name: How reports call the case; by default the constructor call and the inputs.
        notes: What was inferred, where the case was not fully declared.
        reference: What the layer should compute, in NumPy: `reference(inputs, weights, **call)`, where inputs and
            call hold float64 arrays in the case's structure and `weights` maps the path of each variable, without
            the layer's own name, to a float64 array. Returns the outputs in the layer's structure.
        variants: Further values of constructor arguments, such as `{"padding": ["same", "causal"]}`. They make up to
            twelve more cases, so that every two values of different arguments occur together at least once.
        others: Further values of constructor arguments whose alternatives cannot be guessed, such as functions and
            arrays. LW702 checks that the config keeps them. They make no cases.
        unsupported: Backends that the layer does not support, each with the reason: it is not checked there.
        inferred: What was inferred rather than declared: names of constructor arguments, `"inputs"`. Sizes of inferred
            inputs are not the author's claim.
        undetermined: Whether no way to call the layer was found.
        alternatives: Other cases that are as likely as this one, if it was inferred: what fails here and passes on one
            of them is a note.
        skip: Why the layer is not checked, such as that it is an abstract class; empty if it is.
        adapt: What the layer's `adapt` is called with after it is constructed: a shape or `InputSpec`.
        combined: Whether the checker chose the constructor arguments together: `"values"` if the author declared each
            value, `"arguments"` if a sweep chose them. If the layer refuses them, its checks are skipped.

    Example:
        >>> import layerwright as lw
        >>> case = lw.Case(dict, init={"units": 4}, inputs=(None, 10, 5), traits={"causal": True})
        >>> print(case)
        dict(units=4) on (None, 10, 5)
    """

    layer: Callable[..., Any]
    init: Mapping[str, Any] = field(default_factory=dict)
    inputs: Any = None
    call: Mapping[str, Any] = field(default_factory=dict)
    traits: Traits = field(default_factory=Traits)
    expect: Mapping[str, str] = field(default_factory=dict)
    name: str = ""
    notes: tuple[str, ...] = ()
    reference: Callable[..., Any] | None = None
    variants: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    others: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    unsupported: Mapping[str, str] = field(default_factory=dict)
    inferred: tuple[str, ...] = ()
    undetermined: bool = False
    alternatives: "tuple[Case, ...]" = ()
    skip: str = ""
    adapt: InputSpec | None = None
    combined: Literal["", "values", "arguments"] = ""

    def __post_init__(self) -> None:
        for name in ("inputs", "adapt"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, _as_specs(getattr(self, name)))
        call = {name: _as_call_argument(name, value) for name, value in self.call.items()}
        object.__setattr__(self, "call", call)
        if isinstance(self.traits, Mapping):
            object.__setattr__(self, "traits", traits_from(self.traits))

    @property
    def status(self) -> Literal["declared", "inferred", "undetermined"]:
        """Whether the case was declared, inferred, or could not be determined."""
        if self.undetermined:
            return "undetermined"
        return "inferred" if self.inferred else "declared"

    def to_dict(self) -> dict[str, Any]:
        """Return how the layer is constructed and called, as JSON values; `text` says it in one line."""
        return {
            "text": str(self),
            "init": {name: _as_data(value) for name, value in self.init.items()},
            "inputs": _as_data(self.inputs),
            "call": {name: _as_data(value) for name, value in self.call.items()},
        }

    def construct(self, **overrides: Any) -> Any:
        """Return a new layer, constructed with `init` and `overrides` on top of it, and adapted if the case says so."""
        layer = self.layer(**{**self.fresh_init(), **overrides})
        if self.adapt is not None:
            layer.adapt(self.adapt.data())
        return layer

    def fresh_init(self) -> dict[str, Any]:
        """Return `init`, its layers and other mutable values copied."""
        return {key: _fresh(value) for key, value in self.init.items()}

    def specs(self) -> Iterator[InputSpec]:
        """Return the spec of every tensor of the case: first those of `inputs`, then those of `call`."""
        yield from _leaves(self.inputs)
        for value in self.call.values():
            yield from _leaves(value)

    def with_inputs(self, inputs: Any, call: Mapping[str, Any] | None = None) -> "Case":
        """Return the same case with other inputs, and perhaps other call arguments."""
        return replace(self, inputs=inputs, call=self.call if call is None else call)

    def __str__(self) -> str:
        if self.name:
            return self.name
        arguments = ", ".join(f"{key}={_brief(value)}" for key, value in self.init.items())
        words = f"{getattr(self.layer, '__name__', 'layer')}({arguments})"
        if self.inputs is not None:
            words += f" on {_brief(self.inputs)}"
        if self.adapt is not None:
            words += f" adapted to {_brief(self.adapt)}"
        extra = ", ".join(f"{key}={_brief(value)}" for key, value in self.call.items())
        return f"{words} with {extra}" if extra else words


CASES_ATTRIBUTE = "__layerwright_cases__"
MODULE_CASES = "CASES"


def case(
    *,
    init: Mapping[str, Any] | None = None,
    inputs: Any = None,
    call: Mapping[str, Any] | None = None,
    expect: Mapping[str, str] | None = None,
    name: str = "",
    reference: Callable[..., Any] | None = None,
    variants: Mapping[str, Sequence[Any]] | None = None,
    others: Mapping[str, Sequence[Any]] | None = None,
    unsupported: Mapping[str, str] | None = None,
    **traits: Any,
) -> Callable[[type], type]:
    """Declare a case on a layer's class. May be repeated; every declared case is checked.

    Args:
        init: Constructor arguments.
        inputs: The first call argument: a shape, an `InputSpec`, or a list or dict of them.
        call: Further call arguments by name.
        expect: Codes of checks known to fail, each with its reason.
        name: How reports call the case.
        reference: What the layer should compute, in NumPy; see `Case`.
        variants: Further values of constructor arguments; see `Case`.
        others: Further values that only LW702 tries; see `Case`.
        unsupported: Backends that the layer does not support, each with the reason.
        **traits: What the layer declares about itself, such as `causal=True`; see `Traits`.

    Returns:
        A decorator that stores the declaration on the class and returns the class.

    Raises:
        UsageError: If a trait is unknown.
    """

    def declare(layer: type) -> type:
        declared = Case(
            layer,
            init or {},
            inputs,
            call or {},
            traits_from(traits),
            expect or {},
            name,
            reference=reference,
            variants=variants or {},
            others=others or {},
            unsupported=unsupported or {},
        )
        own = vars(layer).get(CASES_ATTRIBUTE, ())
        setattr(layer, CASES_ATTRIBUTE, (declared, *own))
        return layer

    return declare


def declared_cases(layer: type) -> tuple[Case, ...]:
    """Return the cases declared on this class itself, not on its bases."""
    return tuple(vars(layer).get(CASES_ATTRIBUTE, ()))


def traits_from(values: Mapping[str, Any]) -> Traits:
    """Build `Traits` from names and values.

    Raises:
        UsageError: If a name is not a trait, or a value is not valid.
    """
    unknown = sorted(set(values) - set(TRAIT_NAMES))
    if unknown:
        raise UsageError(f"unknown trait {', '.join(unknown)}; the traits are {', '.join(TRAIT_NAMES)}.")
    return Traits(**values)


def _as_specs(inputs: Any) -> Any:
    if inputs is None or isinstance(inputs, InputSpec):
        return inputs
    if isinstance(inputs, Mapping):
        return {key: _as_specs(inputs[key]) for key in sorted(inputs)}  # keras.tree sorts them on some backends only
    if isinstance(inputs, tuple) and all(size is None or isinstance(size, int) for size in inputs):
        return InputSpec(inputs)
    if isinstance(inputs, (list, tuple)):
        return type(inputs)(_as_specs(value) for value in inputs)
    raise UsageError(f"inputs must be a shape, an InputSpec, or a list or dict of them (got {inputs!r}).")


def _as_call_argument(name: str, value: Any) -> Any:
    """Turn shapes in a call argument into specs: tuples of sizes that begin with None."""
    if isinstance(value, Mapping):
        return {key: _as_call_argument(name, item) for key, item in value.items()}
    if isinstance(value, tuple) and _is_shape(value):
        return InputSpec(value, "bool" if name == "mask" or name.endswith("_mask") else "float32")
    if type(value) in (list, tuple):
        return type(value)(_as_call_argument(name, item) for item in value)
    return value


def _is_shape(sizes: tuple[Any, ...]) -> bool:
    """Whether a tuple is a shape: None for the batch axis, then sizes. (None, None) may as well be two values."""
    rest = sizes[1:]
    kinds = {type(size) for size in rest}
    return sizes[:1] == (None,) and int in kinds and kinds <= {int, NoneType}


def _leaves(tree: Any) -> Iterator[InputSpec]:
    if isinstance(tree, InputSpec):
        yield tree
    elif isinstance(tree, Mapping):
        for value in tree.values():
            yield from _leaves(value)
    elif isinstance(tree, (list, tuple)):
        for value in tree:
            yield from _leaves(value)


def _fresh(value: Any) -> Any:
    """Copy a constructor argument, so that two layers share no state."""
    if hasattr(value, "get_config") and not isinstance(value, type):
        return type(value).from_config(value.get_config())
    if isinstance(value, (list, tuple)) and any(hasattr(item, "get_config") for item in value):
        return type(value)(_fresh(item) for item in value)
    try:
        return copy.deepcopy(value)  # functions and classes copy as themselves
    except Exception:  # what cannot be copied (an open file, a module) is shared; its own copier may raise anything
        return value


def _as_data(value: Any) -> Any:
    """Return a value as JSON values: specs as dicts, what JSON does not know as text."""
    if isinstance(value, InputSpec):
        ranges = {name: bound for name, bound in (("low", value.low), ("high", value.high)) if bound is not None}
        return {"shape": list(value.shape), "dtype": value.dtype, **ranges}
    if isinstance(value, Mapping):
        return {str(key): _as_data(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_as_data(item) for item in value]
    if value is None or isinstance(value, (bool, int, str)):
        return jsonable(value)
    return jsonable(value) if isinstance(value, float) and math.isfinite(value) else _brief(value)


def _brief(value: Any) -> str:
    if isinstance(value, InputSpec):
        return str(value)
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {_brief(item)}" for key, item in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        inside = ", ".join(_brief(item) for item in value)
        return f"[{inside}]" if isinstance(value, list) else f"({inside})"
    if hasattr(value, "get_config"):
        return f"{type(value).__name__}(…)"
    if hasattr(value, "shape") and hasattr(value, "dtype"):
        return f"<{value.dtype} array of shape {tuple(value.shape)}>"
    if callable(value):
        return getattr(value, "__name__", type(value).__name__)
    text = repr(value)
    return text if len(text) <= 40 else text[:39] + "…"


def cases_for(layers: Iterable[type]) -> dict[type, tuple[Case, ...]]:
    """Map each class to its cases: those in its module's `CASES`, those declared on it, or one still to be inferred."""
    return {layer: _cases_of_module(layer) or declared_cases(layer) or (Case(layer),) for layer in layers}


def _cases_of_module(layer: type) -> tuple[Case, ...]:
    """Return the cases of a class that the list `CASES` in its module contains."""
    listed = getattr(sys.modules.get(layer.__module__), MODULE_CASES, ())
    found = listed if isinstance(listed, (list, tuple)) else ()
    return tuple(case for case in found if isinstance(case, Case) and case.layer is layer)
