"""Work a case out for a layer that declares none: construct it from conventional values, then find what it eats."""

import inspect
import itertools
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from layerwright.cases.conventions import values_for
from layerwright.core.case import Case, InputSpec
from layerwright.core.errors import LayerError
from layerwright.trial.trial import Trial

MOST_CONSTRUCTIONS = 12
MOST_KEYS = 6

TIME = InputSpec((None, 10, 5))
FEATURES = InputSpec((None, 5))
IMAGE = InputSpec((None, 8, 9, 3))
IDS = InputSpec((None, 10), "int32")
ID = InputSpec((None,), "int32")
VOLUME = InputSpec((None, 6, 7, 8, 2))
SQUARE_FEATURES = (InputSpec((None, 10, 4)), InputSpec((None, 10, 8)), InputSpec((None, 4)), InputSpec((None, 8)))

INTEGER_WORDS = re.compile(
    r"ids?|(.*_)?(ids|indices|index|tokens|codes|labels)|vocab.*|input_dim|num_embeddings|codebook"
)
IMAGE_WORDS = re.compile(r"images?|imgs?|pixels|feature_maps?|height|width")


def infer(case: Case) -> Case:
    """Fill in what `case` leaves open, constructor arguments and inputs, by trying; it may leave nothing open.

    A layer that cannot be constructed or called on anything tried comes back with the likeliest inputs, so that
    LW101 or LW102 reports the layer's own error; `notes` then says what was tried and which flag to give.
    """
    if case.inputs is not None and not _missing(case):
        return case
    settled, built = _settle_init(case)
    if settled.inputs is not None:
        return settled
    if not built:
        return replace(settled, inputs=TIME)
    tried: list[Case] = []
    for candidate in _candidates(settled):
        if candidate is None:
            continue
        tried.append(candidate)
        if _works(candidate):
            return _note(candidate, settled)
    first, last = _input_words(tried[0]), _input_words(tried[-1])
    note = f"none of {len(tried)} inputs tried works, from {first} to {last}; give --input"
    return replace(tried[0], notes=(*tried[0].notes, note))


def _settle_init(case: Case) -> tuple[Case, bool]:
    """Return the case with constructor arguments under which it can be constructed and, if they exist, called."""
    constructible: list[Case] = []
    for init in itertools.islice(_constructions(case), MOST_CONSTRUCTIONS):
        candidate = replace(case, init=init, notes=_init_notes(case, init))
        error = _error(candidate)
        if error is None:
            constructible.append(candidate)
            if len(constructible) == 1 and not _has_guesses(case, init):
                break
    if not constructible:
        init = next(_constructions(case))
        return replace(case, init=init, notes=_init_notes(case, init)), False
    if len(constructible) > 1 and case.inputs is None:
        eats = (one for one in constructible if any(_works(each) for each in _candidates(one) if each is not None))
        return next(eats, constructible[0]), True
    return constructible[0], True


def _constructions(case: Case) -> Iterator[dict[str, Any]]:
    """Yield constructor arguments to try: those given, and conventional values for those that are required."""
    parameters = _parameters(case.layer)
    missing = _missing(case)
    for name in _named_as_missing(case, missing):
        missing[name] = parameters.get(name)
    makers = [values_for(name, parameter) for name, parameter in missing.items()]
    for choice in itertools.product(*makers):
        yield {**case.init, **{name: make() for name, make in zip(missing, choice, strict=True)}}


def _missing(case: Case) -> dict[str, inspect.Parameter | None]:
    """Return the required constructor arguments that the case does not give."""
    return {
        name: each for name, each in _parameters(case.layer).items() if name not in case.init and _is_required(each)
    }


def _named_as_missing(case: Case, known: Mapping[str, Any]) -> tuple[str, ...]:
    """Return arguments that the signature hides behind **kwargs, as the constructor's own error names them."""
    found: tuple[str, ...] = ()
    init = {**case.init, **{name: values_for(name, parameter)[0]() for name, parameter in known.items()}}
    for _ in range(3):
        error = _error(replace(case, init=init))
        said = str(error.error) if isinstance(error, LayerError) else ""
        if "missing" not in said or "required" not in said:
            break
        names = tuple(name for name in re.findall(r"'(\w+)'", said) if name not in init)
        found += names
        init |= {name: values_for(name, None)[0]() for name in names}
    return found


def _parameters(layer: Any) -> dict[str, inspect.Parameter]:
    try:
        signature = inspect.signature(layer)
    except (TypeError, ValueError):
        return {}
    kinds = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return {name: each for name, each in signature.parameters.items() if each.kind not in kinds}


def _is_required(parameter: inspect.Parameter) -> bool:
    return parameter.default is inspect.Parameter.empty


def _has_guesses(case: Case, init: Mapping[str, Any]) -> bool:
    parameters = _parameters(case.layer)
    return any(len(values_for(name, parameters.get(name))) > 1 for name in init if name not in case.init)


def _init_notes(case: Case, init: Mapping[str, Any]) -> tuple[str, ...]:
    chosen = [name for name in init if name not in case.init]
    if not chosen:
        return case.notes
    return (*case.notes, f"chose {', '.join(chosen)} by convention; give --init {chosen[0]}=… to change it")


def _candidates(case: Case) -> Iterator[Case | None]:
    """Yield the case with inputs to try, the likeliest first."""
    required, takes_mask = _call_arguments(case)
    if "training" in required:
        del required["training"]
        case = replace(case, call={**case.call, "training": False})
    for spec in _single_tensors(case):
        for call in _further_arguments(required, spec):
            yield _with_mask(case.with_inputs(spec, {**case.call, **call}), takes_mask)
    if required:
        return
    for spec in (TIME, FEATURES, SQUARE_FEATURES[0], IMAGE, IDS):
        yield case.with_inputs([spec, spec])
        yield case.with_inputs([spec, spec, spec])
    for spec in (TIME, FEATURES):
        yield _with_keys(case, spec)


def _single_tensors(case: Case) -> tuple[InputSpec, ...]:
    """Return single tensors to try, ordered by what the names of arguments hint at."""
    names = [*_parameters(case.layer), *_call_parameters(case)]
    usual = (TIME, FEATURES, *SQUARE_FEATURES[:2], IMAGE, VOLUME, *SQUARE_FEATURES[2:])
    if any(INTEGER_WORDS.fullmatch(name.lower()) for name in names):
        return (IDS, *usual, ID)
    if any(IMAGE_WORDS.fullmatch(name.lower()) for name in names):
        return (IMAGE, *(spec for spec in usual if spec is not IMAGE), IDS, ID)
    return (*usual, IDS, ID)


def _call_arguments(case: Case) -> tuple[dict[str, inspect.Parameter], bool]:
    """Return the required call arguments after the first, and whether an optional `mask` is taken."""
    parameters = dict(itertools.islice(_call_parameters(case).items(), 1, None))
    required = {name: each for name, each in parameters.items() if _is_required(each) and name not in case.call}
    takes_mask = "mask" in parameters and "mask" not in required and "mask" not in case.call
    return required, takes_mask


def _call_parameters(case: Case) -> dict[str, inspect.Parameter]:
    call = getattr(case.layer, "call", None)
    if call is None:
        return {}
    parameters = dict(inspect.signature(call).parameters)
    parameters.pop("self", None)
    kinds = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return {name: each for name, each in parameters.items() if each.kind not in kinds}


def _further_arguments(required: Mapping[str, Any], first: InputSpec) -> Iterator[dict[str, InputSpec]]:
    """Yield specs for the required call arguments after the first one."""
    masks = [name for name in required if "mask" in name]
    others = [name for name in required if "mask" not in name]
    mask_shapes = (first.shape[:2], first.shape, (*first.shape[:2], *first.shape[1:2])) if masks else (first.shape,)
    other_specs = dict.fromkeys((first, FEATURES, InputSpec((None, 4)), IDS)) if others else (first,)
    for mask_shape, other in itertools.product(mask_shapes, other_specs):
        yield {name: InputSpec(mask_shape, "bool") if name in masks else other for name in required}


def _with_mask(case: Case, takes_mask: bool) -> Case:
    """Add the mask that Keras itself would pass on: (batch, time), where there is a time axis."""
    spec = case.inputs
    has_time = isinstance(spec, InputSpec) and (len(spec.shape) == 3 or spec == IDS)
    if not takes_mask or not has_time:
        return case
    return case.with_inputs(spec, {**case.call, "mask": InputSpec(spec.shape[:2], "bool")})


def _with_keys(case: Case, spec: InputSpec) -> Case | None:
    """Return the case with a dict of inputs whose keys are those that `call` asks for, one after another."""
    keys: dict[str, InputSpec] = {}
    for _ in range(MOST_KEYS):
        missing = _missing_key(case, keys)
        if missing is None:
            break
        keys[missing] = spec
    return case.with_inputs(keys) if keys else None


def _missing_key(case: Case, keys: Mapping[str, InputSpec]) -> str | None:
    """Return the key that `call` misses in a dict with these keys, if that is what it stumbles over."""
    import keras

    trial = Trial(case.with_inputs(keys)) if keys else Trial(case)
    given = {name: keras.ops.convert_to_tensor(array) for name, array in trial.usual.inputs.items()} if keys else {}
    try:
        trial.construct().call(given)
    except KeyError as error:
        return error.args[0] if error.args and isinstance(error.args[0], str) else None
    except Exception:
        return None
    return None


def _works(case: Case) -> bool:
    """Whether the layer can be called on the case; a mask that Keras would pass on is not held against it."""
    if _error(case, call=True) is None:
        return True
    if "mask" not in case.call or not _is_optional_mask(case):
        return False
    return _error(case.with_inputs(case.inputs, {k: v for k, v in case.call.items() if k != "mask"}), call=True) is None


def _is_optional_mask(case: Case) -> bool:
    return not _is_required(_call_parameters(case)["mask"])


def _error(case: Case, *, call: bool = False) -> BaseException | None:
    """Return what constructing (and calling) the layer raises, if anything."""
    trial = Trial(case)
    try:
        layer = trial.construct()
        if call:
            trial.call(layer, trial.usual)
    except LayerError as error:
        return error
    except (SystemExit, MemoryError):
        return None  # not a question of inputs: LW102 will say what happened
    return None


def _note(candidate: Case, settled: Case) -> Case:
    words = f"settled on {_input_words(candidate)}; give --input to change it"
    return replace(candidate, notes=(*settled.notes, words), worked_out=True)


def _input_words(case: Case) -> str:
    plain = replace(case, layer=_input_words, init={}, name="")
    return str(plain).partition(" on ")[2]
