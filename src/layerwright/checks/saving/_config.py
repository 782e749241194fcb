"""Configs: taken, written as JSON, compared, and turned back into layers."""

import json
from collections.abc import Callable, Mapping
from typing import Any

from layerwright.checks.saving._names import custom_objects
from layerwright.trial.trial import Trial, blaming

Config = dict[str, Any]

OWN_SEED = 1
"""Added to the trial's seed where a layer is rebuilt: a process that loads a file starts from other seeds."""


def config_of(layer: Any) -> Config:
    """Return `layer.get_config()`."""
    with blaming("get_config()"):
        config = layer.get_config()
        if not isinstance(config, dict):
            raise TypeError(f"get_config() must return a dict (got {type(config).__name__})")
        return config


def file_config(layer: Any) -> Config:
    """Return the layer's config as a file holds it: serialised by Keras, written as JSON and read again."""
    import keras

    with blaming("writing its config as JSON"):
        written = json.dumps(keras.saving.serialize_keras_object(config_of(layer)))
    read: Config = json.loads(written)
    return read


def revive(trial: Trial, layer: Any, config: Config, how: str = "from_config(get_config())") -> Any:
    """Return the layer that the class of `layer` makes of `config`, as loading does, under other global seeds.

    Every class and function of the user's own that the layer refers to can be found by its name.
    """
    import keras

    cls, name = type(layer), keras.saving.get_registered_name(type(layer))
    whole = {"module": cls.__module__, "class_name": cls.__name__, "config": config, "registered_name": name}
    keras.utils.set_random_seed(trial.seed + OWN_SEED)
    with blaming(how), keras.saving.custom_object_scope({**custom_objects(trial, layer), name: cls}):
        return keras.saving.deserialize_keras_object(whole, safe_mode=False)


def canonical(config: Any) -> str:
    """Return a config as text that is the same for equal configs, whatever inner layers were built on."""
    import keras

    with blaming("writing its config as JSON"):
        return json.dumps(_settled(keras.saving.serialize_keras_object(config)), sort_keys=True)


def copied(config: Any) -> Any:
    """Copy the dicts, lists and tuples of a config, and nothing within them."""
    if isinstance(config, Mapping):
        return {key: copied(item) for key, item in config.items()}
    if isinstance(config, (list, tuple)):
        return (list if isinstance(config, list) else tuple)(map(copied, config))
    return config


def equal(first: Any, second: Any) -> bool:
    """Whether two values of a config are written alike."""
    return canonical(first) == canonical(second)


def changes(
    before: Mapping[str, Any],
    after: Mapping[str, Any],
    *,
    ignore: tuple[str, ...] = ("name",),
    same: Callable[[Any, Any], bool] = equal,
) -> str:
    """Say which entries differ between two configs, with both values; empty if none does."""
    words = []
    for key in sorted({*before, *after} - set(ignore), key=str):
        if key not in after:
            words.append(f"{key!r} is gone")
        elif key not in before:
            words.append(f"{key!r} is new")
        elif not same(before[key], after[key]):
            words.append(f"{key!r} went from {brief(before[key])} to {brief(after[key])}")
    return "; ".join(words)


def brief(value: Any, limit: int = 60) -> str:
    """Quote a value in at most `limit` characters."""
    text = " ".join(repr(value).split())
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _settled(value: Any) -> Any:
    """Drop from serialised inner objects how they were built, and the bytes of a lambda, which differ when reloaded."""
    if isinstance(value, Mapping) and value.get("class_name") == "__lambda__":
        return "a lambda"
    if isinstance(value, Mapping):
        skip = {"build_config"} if "class_name" in value else set()
        return {key: _settled(item) for key, item in value.items() if key not in skip}
    if isinstance(value, (list, tuple)):
        return [_settled(item) for item in value]
    return value
