"""LW704."""

from collections.abc import Callable, Iterator
from typing import Any

from layerwright.checks.saving._config import canonical, changes, config_of, copied, equal, revive
from layerwright.core.case import Case
from layerwright.core.check import check
from layerwright.core.errors import LayerError
from layerwright.core.finding import Finding, failed, passed
from layerwright.trial.models import build
from layerwright.trial.trial import Trial

MARK = "layerwright"


@check("LW704", "from-config-is-pure", requires=("LW701",))
def from_config_is_pure(trial: Trial) -> Finding:
    """`from_config` leaves its argument alone, and neither layer keeps a list or dict of it.

    What it proves:
        from_config(config) returns with `config` as it was; altering `config` in place afterwards changes the config
        of neither the new layer nor the one it came from.

    Why it matters:
        A config is built from more than once: for each fold of a cross-validation, each trial of a search, each copy
        of a block. A from_config() that pops entries works the first time and raises the second; a list that layers
        share lets an edit of one config reach layers built before.

    How it is tested:
        The config is compared with a copy taken before from_config(). Then every list and dict within a config is
        given one more entry, both layers are asked for their configs, and the entries are taken out again. The second
        part is left out where the layer relies on Keras's own get_config(), which hands out what the constructor got.

    Exempt when:
        Never.

    References:
        keras.io, Layer API, from_config. In Keras 3.15, Wrapper.from_config pops `layer` from its argument.
    """
    import keras

    layer = build(trial, trial.construct())
    config = config_of(layer)
    before = copied(config)
    revive(trial, layer, config)
    altered = changes(before, config, ignore=(), same=_untouched)
    if altered:
        return failed(
            f"from_config() altered the dict it was given: {altered}",
            "Begin from_config() with `config = dict(config)`, then pop from that.",
        )
    if type(layer).get_config is keras.layers.Layer.get_config:
        return passed()
    config = config_of(layer)
    twin = revive(trial, layer, config)
    shared = _shared(config, {"the layer it came from": layer, "the layer built from it": twin})
    if shared:
        return failed(
            f"altering a config in place altered the config of {' and of '.join(shared)}",
            "Return copies from get_config() (list(self.sizes), dict(self.options)) and copy lists and dicts in the "
            "constructor.",
        )
    return passed()


def _shared(config: Any, layers: dict[str, Any]) -> list[str]:
    """Return the names of the layers whose config moves when `config` is altered in place, and undo the alteration."""
    before = {name: _said(layer) for name, layer in layers.items()}
    undo = list(_scribble(config))
    try:
        return [name for name, layer in layers.items() if _said(layer) != before[name]]
    finally:
        for step in reversed(undo):
            step()


def _said(layer: Any) -> str:
    try:
        return canonical(config_of(layer))
    except LayerError as error:
        return str(error)


def _scribble(value: Any) -> Iterator[Callable[[], Any]]:
    """Add an entry to every list and dict within `value`, and yield how to take each out again."""
    if isinstance(value, dict):
        for item in list(value.values()):
            yield from _scribble(item)
        value[MARK] = MARK
        yield lambda: value.pop(MARK)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _scribble(item)
        if isinstance(value, list):
            value.append(MARK)
            yield lambda: value.pop()


def _untouched(before: Any, after: Any) -> bool:
    """Whether an entry is what it was: the very same values, in lists and dicts of the same length."""
    if isinstance(after, dict) and isinstance(before, dict):
        return before.keys() == after.keys() and all(_untouched(before[key], after[key]) for key in before)
    if isinstance(after, (list, tuple)) and isinstance(before, (list, tuple)):
        return len(before) == len(after) and all(map(_untouched, before, after))
    return before is after or (type(before) is type(after) and equal(before, after))


def bad() -> Case:
    return _case(copied=False)


def good() -> Case:
    return _case(copied=True)


def _case(copied: bool) -> Case:
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
