"""Inputs to try, from what is known of them: the likeliest first."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from layerwright.cases.evidence.kinds import Key, Known, TensorFacts
from layerwright.cases.signatures import call_parameters, is_required
from layerwright.core.case import Case, InputSpec
from layerwright.trial.arguments import map_leaves

USUAL: dict[int, tuple[int | None, ...]] = {
    1: (None,),
    2: (None, 5),
    3: (None, 10, 5),
    4: (None, 8, 9, 3),
    5: (None, 6, 7, 8, 2),
    6: (None, 5, 6, 7, 8, 2),
}
"""A shape for each rank. No two axes have the same size, so that none is taken for another."""

FLOAT_RANKS = (3, 2, 4, 5, 1)
INTEGER_RANKS = (2, 1, 3, 4)
IDS = (None, 10)
CHANNELS = (4, 8, 1)
NODES = 2
MOST_NUMBERS = 4
LARGEST_NUMBER = 512
MOST_COMBINATIONS = 24
PLAIN = {"bool": False, "int": 2, "float": 0.5, bool: False, int: 2, float: 0.5}


def proposals(case: Case, known: Known) -> Iterator[Case]:
    """Yield the case with inputs to try."""
    required, takes_mask = further_arguments(case)
    if "training" in required:
        del required["training"]
        case = case.with_inputs(case.inputs, {**case.call, "training": False})
    plain = {name: _plain(name, each) for name, each in required.items() if each.annotation in PLAIN}
    case = case.with_inputs(case.inputs, {**case.call, **plain})
    names = [name for name in required if name not in plain]
    numbers = _numbers(case.init)
    structures: list[tuple[Key, ...]] = [known.keys]
    if not known.keys and known.tensors.get(None, TensorFacts()).rank is None:
        structures += [(0, 1), (0, 1, 2)] if not names else []
    if known.keys and all(isinstance(key, int) for key in known.keys) and not known.has_fixed_keys:
        structures += [tuple(range(number)) for number in numbers if 1 < number <= 8]
    for keys in structures:
        for first, call in _combinations(known, keys, names, numbers):
            made = case.with_inputs(first, {**case.call, **call})
            yield _with_mask(_with_nodes(made) if known.batch == "graph" else made, takes_mask)


def _with_nodes(case: Case) -> Case:
    """Return the case with integers that number nodes or graphs: of both there are two in the smallest batch."""

    def numbered(spec: Any) -> Any:
        is_number = isinstance(spec, InputSpec) and "int" in spec.dtype and spec.high is None
        return replace(spec, high=NODES) if is_number else spec

    return case.with_inputs(map_leaves(numbered, case.inputs), map_leaves(numbered, dict(case.call)))


def _plain(name: str, parameter: Any) -> Any:
    """Return a value for a call argument that is annotated as a number: a size, by its name, is that of `USUAL`."""
    sizes = {"height": 8, "h": 8, "width": 9, "w": 9, "channels": 3}
    return sizes.get(name.lower(), PLAIN[parameter.annotation])


def further_arguments(case: Case) -> tuple[dict[str, Any], bool]:
    """Return the required call arguments after the first, and whether an optional `mask` is taken."""
    parameters = dict(itertools.islice(call_parameters(case.layer).items(), 1, None))
    required = {name: each for name, each in parameters.items() if is_required(each) and name not in case.call}
    takes_mask = "mask" in parameters and "mask" not in required and "mask" not in case.call
    return required, takes_mask


def _combinations(
    known: Known, keys: tuple[Key, ...], names: Sequence[str], numbers: Sequence[int]
) -> Iterator[tuple[Any, dict[str, Any]]]:
    """Yield the first call argument and the further ones, each tensor with each of its options."""
    whole = known.tensors.get(None, TensorFacts())
    guess = known.guessed.get(None, TensorFacts(rank=2 if known.batch == "graph" else None))
    if not keys and not names:
        for spec in options(whole, guess, numbers):
            yield spec, {}
        return
    facts = [known.tensors.get(key, whole if not keys else TensorFacts()) for key in keys or (None,)]
    guesses = [known.guessed.get(key, guess) for key in keys or (None,)]
    ranked = [list(options(one, weak, numbers)) for one, weak in zip(facts, guesses, strict=True)]
    others = [name for name in names if "mask" not in name]
    ranked += [_options_of_argument(name, known, numbers) for name in others]
    for choice in _by_likelihood(ranked):
        first = _structured(keys, choice[: len(keys) or 1])
        call = dict(zip(others, choice[len(keys) or 1 :], strict=True))
        for mask in _masks(choice[0]) if len(others) < len(names) else (None,):
            yield first, {**call, **{name: mask for name in names if name not in others}}


def _options_of_argument(name: str, known: Known, numbers: Sequence[int]) -> list[Any]:
    """Return specs for a further call argument; lists of them where several are known by `name[0]`, `name[1]`."""
    parts = {key: one for key, one in known.call.items() if key.startswith(f"{name}[")}
    if parts:
        return [[next(iter(options(one, TensorFacts(), numbers))) for one in parts.values()]]
    facts, guess = known.call.get(name, TensorFacts()), known.guessed_call.get(name, TensorFacts())
    return list(options(facts, guess, numbers))


def _by_likelihood(ranked: Sequence[Sequence[Any]]) -> Iterator[tuple[Any, ...]]:
    """Yield one option of each: first the same of all, as far as all have it, then those with the smallest places."""
    counts = [min(len(one), 8) for one in ranked]
    places = sorted(itertools.product(*map(range, counts)), key=lambda each: sum(each) - 0.5 * (len(set(each)) == 1))
    alike = [one for one in itertools.product(*ranked) if len(set(map(str, one))) == 1][:2] if _few(counts) else []
    chosen = [tuple(option[place] for option, place in zip(ranked, each, strict=True)) for each in places]
    yield from list({str(one): one for one in [*alike, *chosen]}.values())[:MOST_COMBINATIONS]


def _few(counts: Sequence[int]) -> bool:
    product = 1
    for count in counts:
        product *= count
    return product <= 600


def _structured(keys: tuple[Key, ...], specs: Sequence[Any]) -> Any:
    if not keys:
        return specs[0]
    if all(isinstance(key, str) for key in keys):
        return dict(zip(keys, specs, strict=True))
    return list(specs)


def options(facts: TensorFacts, guess: TensorFacts, numbers: Sequence[int]) -> Iterator[InputSpec]:
    """Yield specs for one tensor."""
    if facts.dtype is not None:
        dtypes = [facts.dtype]
    elif guess.dtype is not None and (facts.rank or guess.rank or 1) <= 2:
        dtypes = [guess.dtype, "float32"]
    else:
        dtypes = ["float32", "int32"]
    found = [
        InputSpec(shape, dtype, high=facts.high if dtype != "float32" else None)
        for dtype in dtypes
        for shape in _shapes(facts, guess, numbers, is_float=dtype.startswith("float"))
    ]
    return iter(dict.fromkeys(found))


def _shapes(
    facts: TensorFacts, guess: TensorFacts, numbers: Sequence[int], *, is_float: bool
) -> Iterator[tuple[int | None, ...]]:
    if facts.rank is not None:
        ranks: tuple[int, ...] = (facts.rank,)
    else:
        ranks = tuple(rank for rank in (FLOAT_RANKS if is_float else INTEGER_RANKS) if rank >= facts.least_rank)
        if guess.rank is not None and guess.rank >= facts.least_rank:
            ranks = tuple(dict.fromkeys((guess.rank, *ranks)))
    usual = [_usual(rank) if is_float or rank != 2 else IDS for rank in ranks]
    plain = [_sized(shape, facts.sizes) for shape in usual]
    yield from plain
    if not is_float:
        return
    for shape in plain[:3]:
        for size in dict.fromkeys((*numbers, *CHANNELS)):
            if len(shape) > 1 and -1 not in facts.sizes:
                yield (*shape[:-1], size)
        for size in numbers:
            if len(shape) > 2:
                yield (shape[0], size, *shape[2:])


def _usual(rank: int) -> tuple[int | None, ...]:
    return USUAL.get(rank) or (None, *range(2, rank + 1))


def _sized(shape: tuple[int | None, ...], sizes: Mapping[int, int | None]) -> tuple[int | None, ...]:
    new = list(shape)
    for axis, size in sizes.items():
        if -len(new) <= axis < len(new) and axis % len(new):
            new[axis] = size
    return tuple(new)


def _masks(first: InputSpec) -> Iterator[InputSpec]:
    """Yield masks for required arguments that are called so: for steps, for entries, for pairs of steps."""
    shape = first.shape
    for mask in dict.fromkeys((shape[:2], shape, (*shape[:2], *shape[1:2]))):
        yield InputSpec(mask, "bool")
    yield first


def _with_mask(case: Case, takes_mask: bool) -> Case:
    """Add the mask that Keras itself would pass on: (batch, time), where there is a time axis."""
    spec = case.inputs
    has_time = isinstance(spec, InputSpec) and (len(spec.shape) == 3 or (len(spec.shape) == 2 and "int" in spec.dtype))
    if not takes_mask or not has_time:
        return case
    return case.with_inputs(spec, {**case.call, "mask": InputSpec(spec.shape[:2], "bool")})


def _numbers(init: Mapping[str, Any]) -> list[int]:
    """Return the sizes that constructor arguments may mean."""
    flat: list[Any] = []
    for value in init.values():
        flat += list(value) if isinstance(value, (list, tuple)) else [value]
    sizes = [one for one in flat if isinstance(one, int) and not isinstance(one, bool) and 1 < one <= LARGEST_NUMBER]
    return list(dict.fromkeys(sizes))[:MOST_NUMBERS]


def contradicts(inputs: Any, known: Known) -> bool:
    """Whether inputs differ from what is known of them in structure, rank or dtype."""
    if known.keys:
        several = inputs if isinstance(inputs, (list, dict)) else []
        items = dict(enumerate(several)) if isinstance(several, list) else several
        return set(items) != set(known.keys) or any(_differs(items[key], known.tensors.get(key)) for key in items)
    return isinstance(inputs, InputSpec) and _differs(inputs, known.tensors.get(None))


def _differs(spec: Any, facts: TensorFacts | None) -> bool:
    if facts is None or not isinstance(spec, InputSpec):
        return False
    is_other_kind = facts.dtype is not None and ("int" in facts.dtype) != ("int" in spec.dtype)
    return is_other_kind or len(spec.shape) < facts.least_rank or facts.rank not in (None, len(spec.shape))
