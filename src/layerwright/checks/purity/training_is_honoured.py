"""LW905."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from layerwright.core.case import Case, Traits
from layerwright.core.check import check
from layerwright.core.errors import LayerError
from layerwright.core.finding import Finding, failed, note, passed, skipped
from layerwright.trial.compare import bitwise_equal
from layerwright.trial.trial import Trial, takes_argument

FIX = (
    "Call inner layers as layers (self.dropout(x), not self.dropout.call(x)) and pass no `training` of your own: Keras "
    "hands on the outer one; or write self.dropout(x, training=training)."
)
DEFAULT_FIX = "Unless that is meant, as for augmentation, write `def call(self, inputs, training=False)`."


@check("LW905", "training-is-honoured", requires=("LW901",))
def training_is_honoured(trial: Trial) -> Finding:
    """What is said about training reaches every inner layer, and where nothing is said it is inference.

    What it proves:
        Called with training=True or training=False, the layer runs each layer inside it that knows `training` with
        that same value; called without, it computes what it computes with training=False, unless `training=True` is
        the default of its own `call`.

    Why it matters:
        Dropout that is never on regularises nothing, and batch normalisation that never updates its statistics is
        found out at inference. The reverse, dropout that stays on, makes every prediction a little worse. Neither
        raises an error.

    How it is tested:
        While the layer is called, every layer inside it that takes `training` notes the value it is run with; a value
        that is not the one given refutes. Layers that are frozen (trainable=False) may be held to inference. Then the
        outputs of a call without `training` are compared bit by bit with those of training=False.

    Exempt when:
        No layer, neither this one nor one inside it, takes `training`.

    References:
        keras.io/guides, "Making new layers and models via subclassing": privileged training argument; keras.io, FAQ on
        training and inference modes; github.com/keras-team/keras-hub, issue 1500.
    """
    layer = trial.built()
    inner = [part for part in layer._flatten_layers(include_self=False) if takes_argument(part, "training")]
    if not inner and not takes_argument(layer, "training"):
        return skipped("neither the layer nor one inside it takes `training`")
    for training in (True, False):
        with _watched(inner) as seen, suppress(LayerError):  # that it works in training is for other checks to prove
            trial.call(layer, trial.usual, training=training)
        wrong = [f"{part.name} with {value}" for part, value in seen if _contradicts(part, value, training)]
        if wrong:
            return failed(f"called with training={training}, the layer runs {', '.join(sorted(set(wrong))[:4])}", FIX)
    if trial.case.traits.stateful:
        return passed(inner=len(inner))
    plain, inference = trial.call(layer, trial.usual), trial.call(layer, trial.usual, training=False)
    if bitwise_equal(plain, inference):
        return passed(inner=len(inner))
    if _default(layer) is True:
        return note(
            "a call without `training` runs in training mode, because `call` has the default training=True", DEFAULT_FIX
        )
    return failed("called without `training`, it gives other outputs than with training=False", FIX)


def _default(layer: Any) -> Any:
    parameter = layer._call_signature.parameters.get("training")
    return parameter and parameter.default


def _contradicts(part: Any, value: Any, training: bool) -> bool:
    held = training and not part.trainable and part.weights
    return bool(value) != training and not held


@contextmanager
def _watched(layers: list[Any]) -> Iterator[list[tuple[Any, Any]]]:
    """Gather each run of the layers within the context: the layer, and what `training` it was run with."""
    seen: list[tuple[Any, Any]] = []

    def watch(layer: Any) -> None:
        original = layer.call

        def call(*args: Any, **kwargs: Any) -> Any:
            given = layer._call_signature.bind(*args, **kwargs).arguments
            seen.append((layer, given.get("training")))
            return original(*args, **kwargs)

        object.__setattr__(layer, "call", call)

    for layer in layers:
        watch(layer)
    try:
        yield seen
    finally:
        for layer in layers:
            object.__delattr__(layer, "call")


def bad() -> Case:
    return _regularised(by_call=True)


def good() -> Case:
    return _regularised(by_call=False)


def _regularised(*, by_call: bool) -> Case:
    import keras

    class Regularised(keras.layers.Layer):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.dropout = keras.layers.Dropout(0.5, seed=1, dtype=self.dtype_policy)

        def call(self, inputs):
            return self.dropout.call(inputs) if by_call else self.dropout(inputs)

    return Case(Regularised, inputs=(None, 5), traits=Traits(random=not by_call))
