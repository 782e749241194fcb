"""Read a layer's config, write it as JSON, compare configs, and rebuild layers from them."""

import json
from collections.abc import Callable, Mapping
from typing import Any

from layerwright.checks.saving._names import custom_objects
from layerwright.core.errors import WrongResultError
from layerwright.trial.trial import Trial, blaming

Config = dict[str, Any]

LOADING_SEED_OFFSET = 1
"""Added to the trial's seed before a layer is rebuilt, because a process that loads a file has other global seeds."""

WRITING_JSON = "writing the layer's config as JSON"


def config_of(layer: Any) -> Config:
    """Return `layer.get_config()`."""
    with blaming("get_config()"):
        config: Config = layer.get_config()
    if not isinstance(config, dict):
        raise WrongResultError("get_config()", f"a {type(config).__name__}", "a dict")
    return config


def config_through_json(layer: Any) -> Config:
    """Return the layer's config as a file stores it: serialised by Keras, written as JSON and read again."""
    import keras

    with blaming(WRITING_JSON):
        written = json.dumps(keras.saving.serialize_keras_object(config_of(layer)))
    read: Config = json.loads(written)
    return read


def rebuild(trial: Trial, layer: Any, config: Config, how: str = "from_config(get_config())") -> Any:
    """Return the layer that the class of `layer` makes from `config`, as loading does, under other global seeds.

    Keras can find every custom class and function that the layer refers to, registered or not.
    """
    import keras

    cls, name = type(layer), keras.saving.get_registered_name(type(layer))
    whole = {"module": cls.__module__, "class_name": cls.__name__, "config": config, "registered_name": name}
    keras.utils.set_random_seed(trial.seed + LOADING_SEED_OFFSET)
    with blaming(how), keras.saving.custom_object_scope({**custom_objects(trial, layer), name: cls}):
        return keras.saving.deserialize_keras_object(whole, safe_mode=False)


def canonical_json(config: Any) -> str:
    """Return a config as text that is the same for equal configs, whatever shapes sublayers were built with."""
    import keras

    with blaming(WRITING_JSON):
        return json.dumps(_without_build_details(keras.saving.serialize_keras_object(config)), sort_keys=True)


def copy_containers(config: Any) -> Any:
    """Copy the dicts, lists and tuples of a config, but not the other objects in them."""
    if isinstance(config, Mapping):
        return {key: copy_containers(item) for key, item in config.items()}
    if isinstance(config, (list, tuple)):
        return (list if isinstance(config, list) else tuple)(map(copy_containers, config))
    return config


def equal_as_json(first: Any, second: Any) -> bool:
    """Whether two values of a config have the same JSON."""
    return canonical_json(first) == canonical_json(second)


def describe_changes(
    before: Mapping[str, Any],
    after: Mapping[str, Any],
    *,
    ignore: tuple[str, ...] = ("name",),
    same: Callable[[Any, Any], bool] = equal_as_json,
) -> str:
    """Say which entries differ between two configs, with both values; empty if none differs."""
    words = []
    for key in sorted({*before, *after} - set(ignore), key=str):
        if key not in after:
            words.append(f"{key!r} is missing")
        elif key not in before:
            words.append(f"{key!r} was added")
        elif not same(before[key], after[key]):
            words.append(f"{key!r} changed from {shorten(before[key])} to {shorten(after[key])}")
    return "; ".join(words)


def shorten(value: Any, limit: int = 60) -> str:
    """Return the `repr` of a value in at most `limit` characters."""
    text = " ".join(repr(value).split())
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _without_build_details(value: Any) -> Any:
    """Drop the build configs of serialised objects, and the bytecode of lambdas, which changes on reloading."""
    if isinstance(value, Mapping) and value.get("class_name") == "__lambda__":
        return "a lambda"
    if isinstance(value, Mapping):
        skip = {"build_config"} if "class_name" in value else set()
        return {key: _without_build_details(item) for key, item in value.items() if key not in skip}
    if isinstance(value, (list, tuple)):
        return [_without_build_details(item) for item in value]
    return value
