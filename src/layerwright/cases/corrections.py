"""What a layer's error says of the inputs that it wants instead."""

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from typing import Any

from layerwright.cases.proposals import USUAL
from layerwright.core.case import Case, InputSpec
from layerwright.core.errors import LayerError
from layerwright.trial.arguments import map_leaves
from layerwright.trial.trial import Trial

RANK = re.compile(
    r"(?:min_ndim|ndim|rank)\s*(?:=|of|is|must be|:)?\s*(\d)|(\d)\s*-?(?:D\b|dimensional|-d\b)", re.IGNORECASE
)
UNPACKED = re.compile(r"not enough values to unpack \(expected (\d+), got (\d+)\)")
TOO_MANY = re.compile(r"too many values to unpack \(expected (\d+)\)")
MULTIPLE = re.compile(r"(?:divisible by|multiple of|divide)\D{0,20}(\d+)|\b(even)\b", re.IGNORECASE)
INTEGERS = re.compile(
    r"indices must be|integer|Tindices|used as indices|expected.*(?:Long|Int)|int32, int64|int(?:32|64)? tensor",
    re.IGNORECASE,
)
NUMBER = re.compile(r"(?<![\w.])\d{1,5}(?![\w.]*\d*[.]\d)")
NO_LIST = re.compile(r"not iterable|not subscriptable|cannot unpack|has no len|argument after \* must be")
NO_FUNCTION = re.compile(r"not callable|has no attribute")
QUOTED = re.compile(r"['\"]([A-Za-z][\w-]*)['\"]")
BETWEEN_SIZES = re.compile(r"(?<=\d)x(?=\d)")
"""As in "40x5"."""

LARGEST = 4096
MOST = 8


def corrections(case: Case, error: BaseException) -> list[Case]:
    """Return the case with other inputs that the error asks for, the likeliest first."""
    said = BETWEEN_SIZES.sub(" x ", str(error.error) if isinstance(error, LayerError) else str(error))
    found = [*_several(case, said), *_ranks(case, said), *_multiples(case, said), *_sizes(case, said)]
    if INTEGERS.search(said):
        found.insert(0, _each(case, lambda spec: replace(spec, dtype="int32") if spec.dtype == "float32" else spec))
    return _distinct(found)[:MOST]


def amendments(init: Mapping[str, Any], error: BaseException, guessed: Collection[str]) -> Iterator[dict[str, Any]]:
    """Yield constructor arguments that the constructor's error asks for, one of the guessed ones changed in each."""
    said = str(error.error) if isinstance(error, LayerError) else str(error)
    named = [name for name in guessed if re.search(rf"\b{re.escape(name)}\b", said)]
    for name in named or list(guessed):
        value = init[name]
        if isinstance(value, int) and NO_LIST.search(said):
            yield from ({**init, name: [value, value]}, {**init, name: (2, 2)})
        if NO_FUNCTION.search(said):
            yield from ({**init, name: one} for one in _callables())
        for word in QUOTED.findall(said)[:4]:
            if isinstance(value, str) or name in named:
                yield {**init, name: word}
        for number in map(int, NUMBER.findall(said)[:3]):
            if isinstance(value, int) and number != value:
                yield {**init, name: number}


def _callables() -> tuple[Any, ...]:
    import keras

    return (keras.layers.Dense(5), keras.ops.tanh)


def _distinct(cases: list[Case]) -> list[Case]:
    return list({str((one.inputs, one.call)): one for one in cases}.values())


def _each(case: Case, change: Any) -> Case:
    return case.with_inputs(map_leaves(change, case.inputs))


def _several(case: Case, said: str) -> Iterator[Case]:
    """Yield lists of as many tensors as the layer unpacks."""
    found = TOO_MANY.search(said) or UNPACKED.search(said)
    if found is None or not isinstance(case.inputs, (InputSpec, list)):
        return
    count = int(found[1])
    first = case.inputs if isinstance(case.inputs, InputSpec) else case.inputs[0]
    if (
        1 < count < 6
        and isinstance(first, InputSpec)
        and not (isinstance(case.inputs, list) and len(case.inputs) == count)
    ):
        yield case.with_inputs([first] * count)


def _ranks(case: Case, said: str) -> Iterator[Case]:
    """Yield inputs of the rank that the error names, or that the layer unpacks a shape into."""
    unpacked = UNPACKED.search(said)
    wanted = [int(one) for pair in RANK.findall(said) for one in pair if one]
    if unpacked is not None:
        wanted.append(int(unpacked[1]))
    for rank in wanted:
        if rank in USUAL and any(len(spec.shape) != rank for spec in case.specs()):
            yield _each(case, lambda spec, rank=rank: replace(spec, shape=USUAL[rank]))


def _multiples(case: Case, said: str) -> Iterator[Case]:
    """Yield sizes that are a multiple of the number which the error names: of the last axis, of all but it, of all."""
    found = MULTIPLE.search(said)
    if found is None:
        return
    factor = 2 if found[2] else int(found[1])
    if not 1 < factor <= 64:
        return

    def rounded(size: int | None) -> int | None:
        return size if size is None else factor * max(1, -(-size // factor))

    yield _each(
        case,
        lambda spec: replace(spec, shape=(*spec.shape[:-1], rounded(spec.shape[-1]))) if len(spec.shape) > 1 else spec,
    )
    yield _each(
        case, lambda spec: replace(spec, shape=(spec.shape[0], *map(rounded, spec.shape[1:-1]), *spec.shape[1:][-1:]))
    )
    yield _each(case, lambda spec: replace(spec, shape=(spec.shape[0], *map(rounded, spec.shape[1:]))))


def _sizes(case: Case, said: str) -> Iterator[Case]:
    """Yield inputs in which a size that the error names beside another is replaced by that other one."""
    import keras

    numbers = list(dict.fromkeys(int(one) for one in NUMBER.findall(said)))
    batch = Trial(case).batch
    tree = [case.inputs, dict(case.call)]
    flat = keras.tree.flatten(tree)
    for place, spec in enumerate(flat):
        if not isinstance(spec, InputSpec) or spec.dtype == "bool":
            continue
        for shape in _resized(spec, numbers, batch):
            changed = [replace(spec, shape=shape) if at == place else one for at, one in enumerate(flat)]
            alike = [_like(one, spec, shape) for one in flat]
            for leaves in (changed, alike) if len(flat) > 1 else (alike,):
                inputs, call = keras.tree.pack_sequence_as(tree, leaves)
                yield case.with_inputs(inputs, call)


def _resized(spec: InputSpec, numbers: list[int], batch: int) -> Iterator[tuple[int | None, ...]]:
    """Yield the shape with a size that is among the numbers replaced by another of them, the last axis first."""
    for axis in range(len(spec.shape) - 1, 0, -1):
        size = spec.shape[axis]
        others = [one for one in numbers if one not in (size, batch) and 0 < one <= LARGEST]
        if size in numbers:
            yield from ((*spec.shape[:axis], other, *spec.shape[axis + 1 :]) for other in others)


def _like(leaf: Any, spec: InputSpec, shape: tuple[int | None, ...]) -> Any:
    """Return a leaf with another shape if it has the spec's; a mask of its steps follows it."""
    if not isinstance(leaf, InputSpec):
        return leaf
    if leaf.shape == spec.shape:
        return replace(leaf, shape=shape)
    return replace(leaf, shape=shape[:2]) if leaf.dtype == "bool" and leaf.shape == spec.shape[:2] else leaf
