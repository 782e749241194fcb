"""LW704 from-config-is-pure."""

from collections.abc import Callable, Iterator
from typing import Any

from layerwright.checks.saving._config import (
    canonical_json,
    config_of,
    copy_containers,
    describe_changes,
    equal_as_json,
    rebuild,
)
from layerwright.core.case import Case
from layerwright.core.check import check
from layerwright.core.errors import LayerError
from layerwright.core.finding import Finding, failed, passed
from layerwright.trial.models import build
from layerwright.trial.trial import Trial

MARK = "layerwright"
"""Added to every list and dict of a config, as key and as value."""


@check("LW704", "from-config-is-pure", requires=("LW701",))
def from_config_is_pure(trial: Trial) -> Finding:
    """`from_config` does not modify its argument, and layers share no list or dict with a config.

    What it proves:
        `from_config(config)` leaves `config` unchanged. Modifying `config` in place afterwards changes neither the
        config of the new layer nor the config of the layer that it came from.

    Why it matters:
        One config often serves several layers: one for each fold of a cross-validation, each trial of a search, each
        copy of a block. If `from_config()` pops entries, it works the first time and raises the second time. If layers
        share a list with a config, an edit of the config changes layers that already exist.

    How it is tested:
        The check compares the config with a copy made before `from_config()`. Then it adds one entry to every list and
        dict in a config, asks both layers for their configs again, and removes the entries. This second part is
        skipped if the layer uses Keras's own `get_config()`, which returns the constructor's arguments themselves.

    Exempt when:
        Never.

    References:
        keras.io, Layer API, `from_config`. In Keras 3.15, `Wrapper.from_config` pops `layer` from its argument.
    """
    import keras

    layer = build(trial, trial.construct())
    config = config_of(layer)
    before = copy_containers(config)
    rebuild(trial, layer, config)
    changed = describe_changes(before, config, ignore=(), same=_is_unchanged)
    if changed:
        return failed(
            f"from_config() modified the dict that it was given: {changed}; expected no change",
            "Copy the dict at the start of `from_config()`: `config = dict(config)`.",
        )
    if type(layer).get_config is keras.layers.Layer.get_config:
        return passed()
    config = config_of(layer)
    twin = rebuild(trial, layer, config)
    sharing = _layers_sharing(config, {"the original layer": layer, "the rebuilt layer": twin})
    if sharing:
        return failed(
            f"modifying a config in place changed the config of {' and of '.join(sharing)}; expected no change",
            "Return copies from `get_config()`, such as `list(self.sizes)` or `dict(self.options)`, and copy lists and "
            "dicts in the constructor: `self.sizes = list(sizes)`.",
        )
    return passed()


def _layers_sharing(config: Any, layers: dict[str, Any]) -> list[str]:
    """Return the names of the layers whose config changes when `config` is modified in place; undo the change."""
    before = {name: _config_or_error(layer) for name, layer in layers.items()}
    undo = list(_add_entries(config))
    try:
        return [name for name, layer in layers.items() if _config_or_error(layer) != before[name]]
    finally:
        for step in reversed(undo):
            step()


def _config_or_error(layer: Any) -> str:
    try:
        return canonical_json(config_of(layer))
    except LayerError as error:
        return str(error)


def _add_entries(value: Any) -> Iterator[Callable[[], Any]]:
    """Add an entry to every list and dict inside `value`, and yield functions that remove them again."""
    if isinstance(value, dict):
        for item in list(value.values()):
            yield from _add_entries(item)
        value[MARK] = MARK
        yield lambda: value.pop(MARK)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _add_entries(item)
        if isinstance(value, list):
            value.append(MARK)
            yield lambda: value.pop()


def _is_unchanged(before: Any, after: Any) -> bool:
    """Whether an entry of a config holds the same objects as before, in lists and dicts of the same length."""
    if isinstance(after, dict) and isinstance(before, dict):
        return before.keys() == after.keys() and all(_is_unchanged(before[key], after[key]) for key in before)
    if isinstance(after, (list, tuple)) and isinstance(before, (list, tuple)):
        return len(before) == len(after) and all(map(_is_unchanged, before, after))
    return before is after or (type(before) is type(after) and equal_as_json(before, after))


def bad() -> Case:
    return _scaling(copied=False)


def good() -> Case:
    return _scaling(copied=True)


def _scaling(copied: bool) -> Case:
    import keras

    class Scaling(keras.layers.Layer):
        def __init__(self, factor=2.0, **kwargs):
            super().__init__(**kwargs)
            self.factor = factor

        def call(self, inputs):
            return inputs * self.factor

        def get_config(self):
            return {**super().get_config(), "factor": self.factor}

        @classmethod
        def from_config(cls, config):
            if copied:
                config = dict(config)
            return cls(config.pop("factor"), **config)

    return Case(Scaling, inputs=(None, 5))
