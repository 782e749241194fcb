"""LW707."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from layerwright.checks.saving._config import OWN_SEED
from layerwright.core.case import Case
from layerwright.core.check import check
from layerwright.core.finding import Finding, failed, note, passed
from layerwright.trial.models import align_seeds, computes_otherwise, functional, lost_weights, move_weights
from layerwright.trial.trial import Trial, blaming

FIX = (
    "Create every weight in build() with add_weight(); where save_own_variables() and load_own_variables() are "
    "overridden, let them write and read the same entries, one for each weight."
)
STATE_FIX = (
    "Keep all that the outputs depend on in weights, arrays drawn at random too: add_weight(trainable=False), or draw "
    "them from a seed that the constructor takes."
)


@check("LW707", "weights-file", requires=("LW201", "LW104"))
def weights_file(trial: Trial) -> Finding:
    """A `.weights.h5` file, loaded into a fresh layer, gives it every weight.

    What it proves:
        After save_weights() and load_weights() into a new instance, all weights hold the saved values and the outputs
        are equal.

    Why it matters:
        Weight files are how checkpoints, transfer learning and most published models travel. A weight that is not in
        the file keeps its random initial value, without an error.

    How it is tested:
        The layer stands in a functional model. Its weights are moved off their initial values and saved; a second
        model, constructed from the same arguments under other global seeds, loads the file. What the layer's own
        save_own_variables() writes and load_own_variables() never reads is remarked on.

    Exempt when:
        Never.

    References:
        keras.io, "Weights-only saving & loading"; keras.io, Layer API, save_own_variables and load_own_variables.
    """
    import keras

    layer = trial.construct()
    model = functional(trial, layer)
    move_weights(layer)
    outputs = trial.call(layer, trial.usual)
    keras.utils.set_random_seed(trial.seed + OWN_SEED)
    with blaming("constructing it"):
        fresh = trial.case.construct()
    other = functional(trial, fresh)
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder, "model.weights.h5"))
        with blaming("saving a .weights.h5 file"):
            model.save_weights(path)
        with blaming("loading its .weights.h5 file into a new instance"):
            other.load_weights(path)
    align_seeds(layer, fresh)
    lost = lost_weights(layer, fresh)
    if lost:
        return failed(f"after loading the .weights.h5 file into a new instance, {lost}", FIX)
    wrong = computes_otherwise(trial, layer, outputs, other, model=True)
    if wrong:
        return failed(f"with the weights of the .weights.h5 file, {wrong}, expected 0", STATE_FIX)
    unread = list(_unread(layer, fresh))
    if unread:
        return note(
            f"the file also holds what load_own_variables() never reads: {', '.join(unread)}",
            "Read it in load_own_variables(), or do not save it.",
        )
    return passed(weights=len(layer.weights))


class _Reading(dict[str, Any]):
    """A store that remembers which of its entries were read."""

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


def _unread(layer: Any, fresh: Any) -> Iterator[str]:
    """Yield the entries that the layer and those within it save and do not load again."""
    for part, twin in zip(layer._flatten_layers(), fresh._flatten_layers(), strict=True):
        entries: dict[str, Any] = {}
        part.save_own_variables(entries)
        store = _Reading(entries)
        with blaming("load_own_variables()"):
            twin.load_own_variables(store)
        yield from (f"{part.name}/{key}" for key in sorted(store.unread))


def bad() -> Case:
    return _case(("scale",))


def good() -> Case:
    return _case(("scale", "shift"))


def _case(saved: tuple[str, ...]) -> Case:
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
