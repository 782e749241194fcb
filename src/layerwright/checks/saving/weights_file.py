"""LW707 weights-file."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from layerwright.checks.saving._config import LOADING_SEED_OFFSET
from layerwright.checks.saving._copies import copy_fix
from layerwright.core.case import Case
from layerwright.core.check import check
from layerwright.core.finding import Finding, failed, note, passed
from layerwright.trial.models import align_seeds, computes_otherwise, functional, lost_weights, move_weights
from layerwright.trial.paths import attribute_path
from layerwright.trial.trial import Trial, blaming

FIX = (
    "Create every weight in `build()` with `self.add_weight(…)`. If the layer overrides `save_own_variables()` and "
    "`load_own_variables()`, write and read the same entries in both, one for each weight."
)
STATE_FIX = (
    "Store everything that the outputs depend on in weights. For a randomly drawn array, write "
    "`self.add_weight(…, trainable=False)`, or draw it from a seed that the constructor takes."
)


@check("LW707", "weights-file", requires=("LW201", "LW104"), needs_tensors=True)
def weights_file(trial: Trial) -> Finding:
    """Loading a `.weights.h5` file into a new layer restores every weight.

    What it proves:
        After `save_weights()`, and `load_weights()` into a new model, all weights have the saved values and the outputs
        are equal.

    Why it matters:
        Checkpoints, transfer learning and most published models use weight files. A weight that is not in the file
        keeps its random initial value, without an error.

    How it is tested:
        The check changes the layer's weights from their initial values and saves the weights of a functional model
        around the layer. A second model, constructed with the same arguments under other global seeds, loads the file.
        A note lists entries that `save_own_variables()` writes and `load_own_variables()` never reads.

    Exempt when:
        Never.

    References:
        keras.io, "Weights-only saving & loading"; keras.io, Layer API, `save_own_variables` and
        `load_own_variables`.
    """
    import keras

    layer = trial.construct()
    model = functional(trial, layer)
    move_weights(layer)
    outputs = trial.call(layer, trial.usual)
    keras.utils.set_random_seed(trial.seed + LOADING_SEED_OFFSET)
    with blaming("constructing the layer"):
        fresh = trial.case.construct()
    other = functional(trial, fresh)
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder, "model.weights.h5"))
        with blaming("saving a .weights.h5 file"):
            model.save_weights(path)
        with blaming("loading the .weights.h5 file into a new layer"):
            other.load_weights(path)
    align_seeds(layer, fresh)
    lost = lost_weights(layer, fresh)
    if lost:
        return failed(f"after loading the .weights.h5 file into a new layer, {lost}", FIX)
    difference = computes_otherwise(trial, layer, outputs, other, model=True)
    if difference:
        return failed(
            f"after loading the .weights.h5 file into a new layer, {difference}; expected no difference",
            copy_fix(trial) or STATE_FIX,
        )
    unread = list(_unread_entries(layer, fresh))
    if unread:
        return note(
            f"save_own_variables() writes entries that load_own_variables() never reads: {', '.join(unread)}",
            "Read these entries in `load_own_variables()`, or do not write them in `save_own_variables()`.",
        )
    return passed(weights=len(layer.weights))


class _ReadTrackingStore(dict[str, Any]):
    """A store that remembers which of its entries have not been read."""

    def __init__(self, entries: dict[str, Any]) -> None:
        super().__init__(entries)
        self.unread = set(entries)

    def __getitem__(self, key: str) -> Any:
        self.unread.discard(key)
        return super().__getitem__(key)

    def get(self, key: str, default: Any = None) -> Any:
        self.unread.discard(key)
        return super().get(key, default)

    def items(self) -> Any:
        self.unread.clear()
        return super().items()

    def values(self) -> Any:
        self.unread.clear()
        return super().values()


def _unread_entries(layer: Any, fresh: Any) -> Iterator[str]:
    """Yield the entries that the layer and its sublayers save but do not load."""
    for part, twin in zip(layer._flatten_layers(), fresh._flatten_layers(), strict=True):
        entries: dict[str, Any] = {}
        part.save_own_variables(entries)
        store = _ReadTrackingStore(entries)
        with blaming("load_own_variables()"):
            twin.load_own_variables(store)
        yield from (f"{key!r} of {attribute_path(layer, part)}" for key in sorted(store.unread))


def bad() -> Case:
    return _scale_and_shift(saved=("scale",))


def good() -> Case:
    return _scale_and_shift(saved=("scale", "shift"))


def _scale_and_shift(*, saved: tuple[str, ...]) -> Case:
    import keras

    class ScaleAndShift(keras.layers.Layer):
        def build(self, input_shape):
            self.scale = self.add_weight(shape=(input_shape[-1],), initializer="ones", name="scale")
            self.shift = self.add_weight(shape=(input_shape[-1],), initializer="zeros", name="shift")

        def call(self, inputs):
            return inputs * self.scale + self.shift

        def save_own_variables(self, store):
            for name in saved:
                store[name] = getattr(self, name)

        def load_own_variables(self, store):
            for name in saved:
                getattr(self, name).assign(store[name])

    return Case(ScaleAndShift, inputs=(None, 5))
