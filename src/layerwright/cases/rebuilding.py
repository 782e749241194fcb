"""Construct a layer, or a model, anew from one that exists: by its constructor arguments, or else by its config."""

import copy
import inspect
from collections.abc import Callable, Mapping
from typing import Any

from layerwright.cases.signatures import accepts
from layerwright.core.case import Case

OF_EVERY_LAYER = frozenset({"name", "trainable", "dtype"})


def case_from_config(layer: Any) -> Case:
    """Return the case that constructs a layer like this one. Its inputs are still to be found.

    The constructor gets what the config holds. Where the class reads its config by a `from_config` of its own, or the
    config holds serialised objects, the case's function goes through `from_config`.
    """
    import keras

    kind = type(layer)
    try:
        config = layer.get_config()
    except Exception:  # a layer's own code may raise anything; LW701 reports it
        return Case(kind)
    usual = inspect.signature(keras.layers.Layer.__init__).parameters
    own = {
        name: value
        for name, value in config.items()
        if name not in OF_EVERY_LAYER and not (name in usual and value == usual[name].default)
    }
    policy = own_policy(layer)
    if policy is not None:
        own["dtype"] = policy
    is_plain = kind.from_config.__func__ in (
        keras.layers.Layer.from_config.__func__,
        keras.Operation.from_config.__func__,
    )
    if is_plain and not _holds_serialised(own) and all(accepts(kind, name) for name in own):
        return Case(kind, own)
    return Case(from_config_of(layer, config))


def from_config_of(layer: Any, config: Mapping[str, Any]) -> Callable[..., Any]:
    """Return a function that makes a layer or model of the same class from this config.

    Where the config says float32, the function obeys the global dtype policy, as a constructor does.
    """
    kind, known = type(layer), custom_classes(layer)

    def rebuild(**arguments: Any) -> Any:
        import keras

        given = {**_with_global_policy(copy.deepcopy(dict(config))), **arguments}
        with keras.saving.CustomObjectScope(known):
            return kind.from_config(given)

    rebuild.__name__ = rebuild.__qualname__ = kind.__name__
    rebuild.__module__ = kind.__module__
    rebuild.rebuilds = (kind, config)  # type: ignore[attr-defined]
    return rebuild


def copy_of_model(model: Any) -> Callable[..., Any]:
    """Return a function that makes a copy of a model: from its config, with its weights."""
    import keras

    weights = [keras.ops.convert_to_numpy(weight.value) for weight in model.weights] if model.built else []
    rebuild = from_config_of(model, model.get_config())

    def copied(**arguments: Any) -> Any:
        made = rebuild(**arguments)
        if made.built and [tuple(weight.shape) for weight in made.weights] == [each.shape for each in weights]:
            made.set_weights(weights)
        return made

    copied.__name__ = copied.__qualname__ = model.name
    copied.__module__ = type(model).__module__
    copied.copies_model = True  # type: ignore[attr-defined]
    return copied


def custom_classes(layer: Any) -> dict[str, type]:
    """Return the classes, not Keras's own, of a layer and of all layers in it, by the names that configs use."""
    import keras

    kinds = {type(each) for each in layer._flatten_layers()}
    return {keras.saving.get_registered_name(kind): kind for kind in kinds if is_custom(kind)}


def is_custom(kind: type) -> bool:
    """Whether a class of layers is not one of Keras's own."""
    return kind.__module__.split(".")[0] != "keras"


def own_policy(layer: Any) -> str | None:
    """Return the name of a layer's dtype policy, if it is not the global one."""
    import keras

    name = str(layer.dtype_policy.name)
    return None if name == keras.config.dtype_policy().name else name


def _holds_serialised(value: Any) -> bool:
    if isinstance(value, Mapping):
        return "class_name" in value or any(_holds_serialised(item) for item in value.values())
    return isinstance(value, (list, tuple)) and any(_holds_serialised(item) for item in value)


def _with_global_policy(config: Any) -> Any:
    """Replace every float32 policy in a config by the global policy."""
    import keras

    policy = keras.config.dtype_policy()
    if isinstance(config, dict):
        if config.get("class_name") == "DTypePolicy" and config.get("config") == {"name": "float32"}:
            return keras.dtype_policies.serialize(policy)
        return {key: _with_global_policy(value) for key, value in config.items()}
    if isinstance(config, (list, tuple)):
        return type(config)(_with_global_policy(item) for item in config)
    return config
