"""LW906 arguments-are-not-mutated."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from layerwright.core.case import Case
from layerwright.core.check import check
from layerwright.core.finding import Finding, failed, passed, skipped
from layerwright.trial.trial import Trial

FIX = (
    "Copy the argument before you change it: `self.sizes = sorted(sizes)`, `options = {**options, …}`, `list(layers)`."
)


@check("LW906", "arguments-are-not-mutated", requires=("LW102",))
def arguments_are_not_mutated(trial: Trial) -> Finding:
    """The layer does not modify the lists, dicts, sets and arrays that it receives as arguments.

    What it proves:
        Constructing, building and calling the layer change no list, dict, set or array among its constructor arguments
        and among its call arguments without tensors.

    Why it matters:
        Several layers often receive the same list of sizes or the same dict of options. If one layer sorts it, pops
        from it or normalises it in place, the next layer receives something else. Which layer that is depends on the
        order of construction.

    How it is tested:
        The check constructs a layer from copies of the case's arguments and calls it in inference. It compares the
        contents of these copies before and after, item by item, and objects such as layers by identity. Keras copies
        lists and dicts before a call, except for layers that switch this off.

    Exempt when:
        No argument of the case is a list, dict, set or array.

    References:
        docs.python.org/3/faq/programming.html, "Why did changing list 'y' also change list 'x'?".
    """
    init = {name: value for name, value in trial.case.fresh_init().items() if _is_mutable(value)}
    plain = {name: value for name, value in trial.case.call.items() if name not in trial.usual.tensors}
    call = {name: value for name, value in Case(trial.case.layer, plain).fresh_init().items() if _is_mutable(value)}
    if not init and not call:
        return skipped("no argument is a list, a dict, a set or an array")
    before = {name: _contents(value) for name, value in (init | call).items()}
    layer = trial.construct(**init)
    trial.call(layer, replace(trial.usual, call={**trial.usual.call, **call}))
    changed = [name for name, value in (init | call).items() if _contents(value) != before[name]]
    if changed:
        return failed(f"the layer modified arguments in place: {', '.join(changed)}; expected no change", FIX)
    return passed(arguments=sorted(before))


def _is_mutable(value: Any) -> bool:
    return isinstance(value, (list, dict, set, np.ndarray))


def _contents(value: Any) -> Any:
    """Return a description of a value's contents: equal as long as the contents are the same."""
    if isinstance(value, np.ndarray):
        return value.shape, str(value.dtype), value.tobytes()
    if isinstance(value, Mapping):
        return [(key, _contents(item)) for key, item in value.items()]
    if isinstance(value, (list, tuple)):
        return [_contents(item) for item in value]
    return repr(value) if isinstance(value, (bool, int, float, str, bytes, set, type(None))) else id(value)


def bad() -> Case:
    return _banded(in_place=True)


def good() -> Case:
    return _banded(in_place=False)


def _banded(*, in_place: bool) -> Case:
    import keras

    class Banded(keras.layers.Layer):
        def __init__(self, limits, **kwargs):
            super().__init__(**kwargs)
            if in_place:
                limits.sort()
            self.limits = sorted(limits)

        def call(self, inputs):
            return keras.ops.clip(inputs, self.limits[0], self.limits[-1])

        def get_config(self):
            return {**super().get_config(), "limits": list(self.limits)}

    return Case(Banded, init={"limits": [1.0, -1.0, 0.0]}, inputs=(None, 5))
