"""Infer a case: construct the layer from conventional values, then try inputs until it can be called."""

import inspect
import itertools
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from layerwright.cases.conventions import values_for
from layerwright.cases.refusals import is_avoidable, most_telling
from layerwright.cases.signatures import call_parameters, constructor_parameters, is_required
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
    """Fill in the constructor arguments and inputs that `case` leaves open, by trying.

    A layer that cannot be constructed or called with anything tried comes back with what brings out its most telling
    error; `notes` says what was tried. It is `undetermined` if other arguments or inputs might work.
    """
    if is_complete(case):
        return case
    constructed, refusals = _with_constructor_arguments(case)
    if constructed.inputs is not None:
        return constructed
    if refusals:
        undetermined = bool(constructed.inferred) and is_avoidable(refusals)
        inferred = (*constructed.inferred, "inputs")
        return replace(constructed, inputs=TIME, inferred=inferred, undetermined=undetermined)
    tried: list[tuple[Case, BaseException]] = []
    for candidate in _candidates(constructed):
        if candidate is None:
            continue
        error = _error_unless_it_works(candidate)
        if error is None:
            return _with_note(candidate, constructed)
        tried.append((candidate, error))
    first, last = _inputs_text(tried[0][0]), _inputs_text(tried[-1][0])
    note = f"the layer accepted none of {len(tried)} input shapes tried, from {first} to {last}; give one with --input"
    errors = [error for _, error in tried]
    chosen = tried[errors.index(most_telling(errors))][0]
    inferred = (*constructed.inferred, "inputs")
    notes = (*constructed.notes, note)
    return replace(chosen, notes=notes, inferred=inferred, undetermined=is_avoidable(errors))


def is_complete(case: Case) -> bool:
    """Whether the case declares its inputs and every required constructor argument."""
    return case.inputs is not None and not _missing(case)


def _with_constructor_arguments(case: Case) -> tuple[Case, list[BaseException]]:
    """Return the case with arguments with which the layer can be constructed, and called where some allow it.

    If there are none, also return the errors that were raised.
    """
    constructible: list[Case] = []
    errors: list[BaseException] = []
    for init in itertools.islice(_constructions(case), MOST_CONSTRUCTIONS):
        candidate = _constructed(case, init)
        error = _error(candidate)
        if error is not None:
            errors.append(error)
            continue
        constructible.append(candidate)
        if len(constructible) == 1 and not _has_guesses(case, init):
            break
    if not constructible:
        init = next(_constructions(case))
        return _constructed(case, init), errors
    if len(constructible) > 1 and case.inputs is None:
        callable_ = (one for one in constructible if any(_works(each) for each in _candidates(one) if each is not None))
        return next(callable_, constructible[0]), []
    return constructible[0], []


def _constructions(case: Case) -> Iterator[dict[str, Any]]:
    """Yield constructor arguments to try: those given, and conventional values for those that are required."""
    parameters = constructor_parameters(case.layer)
    missing = _missing(case)
    for name in _named_as_missing(case, missing):
        missing[name] = parameters.get(name)
    makers = [values_for(name, parameter) for name, parameter in missing.items()]
    for choice in itertools.product(*makers):
        yield {**case.init, **{name: make() for name, make in zip(missing, choice, strict=True)}}


def _missing(case: Case) -> dict[str, inspect.Parameter | None]:
    """Return the required constructor arguments that the case does not give."""
    return {
        name: each
        for name, each in constructor_parameters(case.layer).items()
        if name not in case.init and is_required(each)
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


def _has_guesses(case: Case, init: Mapping[str, Any]) -> bool:
    parameters = constructor_parameters(case.layer)
    return any(len(values_for(name, parameters.get(name))) > 1 for name in init if name not in case.init)


def _constructed(case: Case, init: Mapping[str, Any]) -> Case:
    """Return the case with these constructor arguments, saying which of them were inferred."""
    chosen = tuple(name for name in init if name not in case.init)
    if not chosen:
        return case
    plural = "s" * (len(chosen) > 1)
    note = f"inferred constructor argument{plural} {', '.join(chosen)}; override with --init {chosen[0]}=…"
    return replace(case, init=init, notes=(*case.notes, note), inferred=chosen)


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
    """Return single tensors to try, first those that the names of arguments suggest."""
    names = [*constructor_parameters(case.layer), *call_parameters(case.layer)]
    usual = (TIME, FEATURES, *SQUARE_FEATURES[:2], IMAGE, VOLUME, *SQUARE_FEATURES[2:])
    if any(INTEGER_WORDS.fullmatch(name.lower()) for name in names):
        return (IDS, *usual, ID)
    if any(IMAGE_WORDS.fullmatch(name.lower()) for name in names):
        return (IMAGE, *(spec for spec in usual if spec is not IMAGE), IDS, ID)
    return (*usual, IDS, ID)


def _call_arguments(case: Case) -> tuple[dict[str, inspect.Parameter], bool]:
    """Return the required call arguments after the first, and whether an optional `mask` is taken."""
    parameters = dict(itertools.islice(call_parameters(case.layer).items(), 1, None))
    required = {name: each for name, each in parameters.items() if is_required(each) and name not in case.call}
    takes_mask = "mask" in parameters and "mask" not in required and "mask" not in case.call
    return required, takes_mask


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
    """Return the key that `call` looks up in vain in a dict with these keys, if that is why it fails."""
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
    return _error_unless_it_works(case) is None


def _error_unless_it_works(case: Case) -> BaseException | None:
    """Return what calling the layer raises, with and without the mask that Keras would pass on; None if one works."""
    error = _error(case, call=True)
    if error is None or "mask" not in case.call or not _is_optional_mask(case):
        return error
    return _error(case.with_inputs(case.inputs, {k: v for k, v in case.call.items() if k != "mask"}), call=True)


def _is_optional_mask(case: Case) -> bool:
    return not is_required(call_parameters(case.layer)["mask"])


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
        return None  # other inputs would not help: the check of the call will say what happened
    return None


def _with_note(candidate: Case, constructed: Case) -> Case:
    note = f"inferred input shape {_inputs_text(candidate)}; override with --input"
    return replace(candidate, notes=(*constructed.notes, note), inferred=(*constructed.inferred, "inputs"))


def _inputs_text(case: Case) -> str:
    plain = replace(case, layer=_inputs_text, init={}, name="")
    return str(plain).partition(" on ")[2]
