"""From a model to cases: one for each custom layer in it, as the model constructs and calls it, and one for itself."""

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from layerwright.cases.observation import Observer, Use, observing
from layerwright.cases.rebuilding import case_from_config, copy_of_model, is_custom, own_policy
from layerwright.cases.smaller import on_smaller_inputs
from layerwright.cases.uses import uses_in_model
from layerwright.core.case import CHOICES, Case, InputSpec, Traits, cases_for
from layerwright.trial.paths import layers_of

MOST_CASES_OF_A_CLASS = 4
"""How many cases one class of layers in a model gets, those with the smallest inputs."""


@dataclass
class _Found:
    """A case of a layer, and the places in the model where a layer is constructed and called so."""

    case: Case
    paths: list[str] = field(default_factory=list)


def is_model(value: Any) -> bool:
    """Whether a value is a model, not a class of models."""
    import keras

    return isinstance(value, keras.Model)


def cases_of_model(model: Any, inputs: Any = None, traits: Mapping[str, Any] | None = None) -> list[Case]:
    """Return the cases of a model that exists: its layers are constructed anew from their configs, and so is it.

    Args:
        model: The model.
        inputs: Specs of its inputs, where it does not say them itself.
        traits: What the whole model declares about itself.
    """
    whole, *layers = _cases_of(model, copy_of_model(model), Observer(is_custom), inputs)
    return [replace(whole, traits=replace(whole.traits, **(traits or {}))), *layers]


def model_cases_of_function(function: Any) -> tuple[Case, ...]:
    """Return the cases of the model that a function makes; none if it makes something else, or needs arguments."""
    if not inspect.isfunction(function) or parameters_without_default(function):
        return ()
    try:
        made = made_by(function)
    except Exception:  # the function may raise anything; the check of the construction reports it
        return ()
    return (
        tuple(made)
        if isinstance(made, list) and any(isinstance(one, Case) and one.traits.model for one in made)
        else ()
    )


def made_by(function: Callable[[], Any], inputs: Any = None) -> Any:
    """Return what a function makes: the cases of a model or layer, anything else as it is.

    The layers are watched while the function runs: cases construct them with the arguments that it gave them.
    """
    import keras

    with observing(is_custom) as observer:
        made = function()
    if is_model(made):
        return list(_cases_of(made, function, observer, inputs))
    return [Case(function, inputs=inputs)] if isinstance(made, keras.layers.Layer) else made


def _cases_of(model: Any, make: Callable[..., Any], observer: Observer, inputs: Any) -> Iterator[Case]:
    call: Mapping[str, Any] = {}
    if inputs is None:
        inputs, call = _inputs_of(model, observer)
    whole = Case(make, inputs=inputs, call=call, traits=_traits_of_model(model))
    yield whole
    inputs = whole.inputs
    uses = {} if inputs is None else uses_in_model(model, inputs, call)
    yield from _layer_cases(model, uses, observer)


def _traits_of_model(model: Any) -> Traits:
    """Return what the layers of a model make of it: one that mixes samples on purpose makes the model mix them."""
    import keras

    layers = model._flatten_layers(include_self=False)
    batches = {
        case.traits.batch
        for layer in layers
        if is_custom(type(layer))
        for case in cases_for([type(layer)])[type(layer)]
    }
    if any(isinstance(layer, keras.layers.BatchNormalization) for layer in model._flatten_layers(include_self=False)):
        batches.add("coupled-in-training")
    batch = next((one for one in CHOICES["batch"][::-1] if one in batches), "independent")
    return Traits(model=True, batch=batch)  # type: ignore[arg-type]


def _layer_cases(model: Any, uses: Mapping[int, Sequence[Use]], observer: Observer) -> Iterator[Case]:
    """Yield a case for each way in which the model constructs and calls one of its custom layers."""
    constructed = {id(use.instance): use for use in observer.constructed}
    called: dict[int, list[Use]] = {}
    for use in observer.called:
        called.setdefault(id(use.instance), []).append(use)
    found: dict[str, _Found] = {}
    for layer, path in layers_of(model, inside_keras=True):
        if not is_custom(type(layer)):
            continue
        known = constructed.get(id(layer))
        base = case_from_config(layer) if known is None else Case(type(layer), _without_defaults(layer, known.init))
        base = _as_declared(base, type(layer))
        seen = uses.get(id(layer)) or called.get(id(layer)) or [Use(type(layer), {})]
        where = _line(called.get(id(layer), []), known)
        for use in seen:
            case = base.with_inputs(use.inputs, {**base.call, **use.call})
            key = _key(layer, case)
            one = found.setdefault(key, _Found(case))
            one.case = max(one.case, case, key=lambda each: len(each.call))
            one.paths.append(f"{path}{where}")
    for one, left_out in _fewest(list(found.values())):
        places = ", ".join(dict.fromkeys(one.paths[:3])) + f" and {len(one.paths) - 3} more" * (len(one.paths) > 3)
        note = f"in the model {model.name}: {places}"
        more = (f"{left_out} more cases of {type_name(one.case)} in the model, on larger inputs, are left out",)
        noted = replace(one.case, notes=(note, *(more if left_out else ())))
        yield noted if noted.inputs is None else on_smaller_inputs(noted)


def _fewest(found: list[_Found]) -> Iterator[tuple[_Found, int]]:
    """Yield at most a few cases of each class, each with the number of those left out: the smallest stay."""
    by_layer: dict[Any, list[_Found]] = {}
    for one in found:
        by_layer.setdefault(type_name(one.case), []).append(one)
    kept = {id(one) for same in by_layer.values() for one in sorted(same, key=_size)[:MOST_CASES_OF_A_CLASS]}
    for one in found:
        if id(one) in kept:
            same = by_layer.pop(type_name(one.case), [])
            yield one, max(0, len(same) - MOST_CASES_OF_A_CLASS)


def _size(one: _Found) -> int:
    total = 0
    for spec in one.case.specs():
        size = 1
        for each in spec.shape[1:]:
            size *= 1 if each is None else each
        total += size
    return total


def type_name(case: Case) -> str:
    """Return the module and name of what constructs a case's layer."""
    return f"{case.layer.__module__}.{getattr(case.layer, '__qualname__', '')}"


def _as_declared(case: Case, layer: type) -> Case:
    """Return the case with what the class declares of itself: its traits, and which checks are expected to fail."""
    declared = cases_for([layer])[layer]
    same = [one for one in declared if _comparable(one.init) == _comparable(case.init)] or list(declared)
    return replace(
        case,
        traits=same[0].traits,
        expect=same[0].expect,
        reference=same[0].reference,
        unsupported=same[0].unsupported,
    )


def _without_defaults(layer: Any, init: Mapping[str, Any]) -> dict[str, Any]:
    """Return constructor arguments without those that the constructor would choose by itself."""
    parameters = inspect.signature(type(layer)).parameters
    defaults = {name: repr(each.default) for name, each in parameters.items()}
    own = {name: value for name, value in init.items() if repr(value) != defaults.get(name)}
    if "dtype" in own and own_policy(layer) is None:
        del own["dtype"]
    return own


def _line(called: Sequence[Use], constructed: Use | None) -> str:
    if called and called[0].where:
        return f", called at {called[0].where}"
    return f", constructed at {constructed.where}" if constructed and constructed.where else ""


def _key(layer: Any, case: Case) -> str:
    """Return what two cases have in common if one is enough: all but a mask."""
    plain = {name: value for name, value in case.call.items() if "mask" not in name}
    init = {name: _comparable(value) for name, value in case.init.items()}
    config = "" if isinstance(case.layer, type) else repr(_comparable(layer))
    return f"{type(layer).__module__}.{type(layer).__qualname__} {init} {config} {case.inputs} {plain}"


def _comparable(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _comparable(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_comparable(item) for item in value]
    if hasattr(value, "get_config") and not isinstance(value, type):
        try:
            config = value.get_config()
        except Exception:  # a layer's own code may raise anything; LW701 reports it
            return repr(value)
        return type(value).__name__, {key: item for key, item in config.items() if key != "name"}
    return repr(value)


def _inputs_of(model: Any, observer: Observer) -> tuple[Any, Mapping[str, Any]]:
    """Return specs of a model's inputs, and its further call arguments; None if neither it nor its use says them."""
    import keras

    try:
        struct = model.input
    except Exception:  # Keras raises several types, for models that are not functional or not built
        struct = None
    if struct is not None:
        highest = _highest_id(model)
        specs = keras.tree.map_structure(lambda tensor: _spec(tensor, highest), struct)
        single = isinstance(specs, (list, tuple)) and len(specs) == 1
        return (specs[0] if single else specs), {}
    for use in observer.called:
        if use.instance is model:
            return _with_highest(use.inputs, _highest_id(model)), use.call
    shapes = (model.get_build_config() or {}) if model.built else {}
    shape = shapes.get("input_shape")
    if isinstance(shape, (list, tuple)) and all(size is None or isinstance(size, int) for size in shape):
        return InputSpec((None, *shape[1:])), {}
    return None, {}


def _spec(tensor: Any, highest: int) -> InputSpec:
    spec = InputSpec((None, *tensor.shape[1:]), tensor.dtype)
    return replace(spec, high=highest) if "int" in spec.dtype else spec


def _with_highest(inputs: Any, highest: int) -> Any:
    import keras

    def bounded(value: Any) -> Any:
        return replace(value, high=highest) if isinstance(value, InputSpec) and "int" in value.dtype else value

    return keras.tree.map_structure(bounded, inputs)


def _highest_id(model: Any) -> int:
    """Return the upper bound of integer inputs: that of the smallest vocabulary in the model, or 2."""
    sizes = [getattr(layer, "input_dim", None) for layer in model._flatten_layers()]
    return min((size for size in sizes if isinstance(size, int) and size > 0), default=2)


def parameters_without_default(function: Callable[..., Any]) -> list[str]:
    """Return the names of the arguments without which a function cannot be called."""
    return [
        name
        for name, each in inspect.signature(function).parameters.items()
        if each.default is each.empty and each.kind not in (each.VAR_POSITIONAL, each.VAR_KEYWORD)
    ]
