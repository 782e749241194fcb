"""What the signatures of a layer's constructor and `call` say."""

import inspect
from typing import Any

Parameters = dict[str, inspect.Parameter]

VARIADIC = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


def constructor_parameters(layer: Any) -> Parameters:
    """Return the named parameters of a layer's constructor, or of a function that makes one."""
    try:
        signature = inspect.signature(layer)
    except (TypeError, ValueError):
        return {}
    return _named(signature)


def call_parameters(layer: Any) -> Parameters:
    """Return the named parameters of a layer's `call`, without `self`."""
    call = getattr(layer, "call", None)
    if call is None:
        return {}
    parameters = _named(inspect.signature(call))
    parameters.pop("self", None)
    return parameters


def is_required(parameter: inspect.Parameter) -> bool:
    """Whether a parameter has no default."""
    return parameter.default is inspect.Parameter.empty


def accepts(layer: Any, name: str) -> bool:
    """Whether a constructor takes an argument of this name, if only by **kwargs."""
    parameters = inspect.signature(layer).parameters
    return name in parameters or any(each.kind is each.VAR_KEYWORD for each in parameters.values())


def constructor_arguments(layer: Any) -> set[str]:
    """Return the names of a constructor's arguments; of a class also those that it may hand on to its bases."""
    bases = inspect.getmro(layer)[:-1] if inspect.isclass(layer) else ()
    constructors = [vars(base)["__init__"] for base in bases if "__init__" in vars(base)] or [layer]
    return {name for one in constructors for name in _named(inspect.signature(one))} - {"self"}


def _named(signature: inspect.Signature) -> Parameters:
    return {name: each for name, each in signature.parameters.items() if each.kind not in VARIADIC}
