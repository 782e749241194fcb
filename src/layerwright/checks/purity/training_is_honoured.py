"""LW905 training-is-honoured."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from layerwright.core.case import Case, Traits
from layerwright.core.check import check
from layerwright.core.errors import LayerError
from layerwright.core.finding import Finding, failed, note, passed, skipped
from layerwright.trial.compare import bitwise_equal
from layerwright.trial.paths import attribute_path
from layerwright.trial.trial import Trial, takes_argument

FIX = (
    "Call sublayers as `self.dropout(x)` or `self.dropout(x, training=training)`, not as `self.dropout.call(x)` or "
    "with a fixed value of `training`. Keras passes `training` on to sublayers."
)
DEFAULT_FIX = (
    "Write `def call(self, inputs, training=False)`, unless the default `training=True` is intended, as for "
    "augmentation."
)


@check("LW905", "training-is-honoured", requires=("LW901", "LW209"))
def training_is_honoured(trial: Trial) -> Finding:
    """The `training` argument reaches every sublayer, and a call without it runs in inference mode.

    What it proves:
        If the layer is called with `training=True` or `training=False`, each sublayer that takes `training` gets the
        same value. A call without `training` gives the outputs of `training=False`, unless the layer's `call` has the
        default `training=True`.

    Why it matters:
        Dropout that is never active regularises nothing. Batch normalisation that never updates its statistics gives
        wrong results in inference. Dropout that stays active makes every prediction worse. None of these raises an
        error.

    How it is tested:
        During a call, the check records the value of `training` that each sublayer receives. A value other than the
        given one fails the check. Frozen sublayers (`trainable=False`) may run in inference mode. Then the outputs of a
        call without `training` are compared, bit by bit, with those of `training=False`.

    Exempt when:
        Neither the layer nor one of its sublayers takes `training`.

    References:
        keras.io/guides, "Making new layers and models via subclassing", on the `training` argument; keras.io, FAQ on
        training and inference modes; github.com/keras-team/keras-hub, issue 1500.
    """
    layer = trial.built()
    inner = [part for part in layer._flatten_layers(include_self=False) if takes_argument(part, "training")]
    if not inner and not takes_argument(layer, "training"):
        return skipped("neither the layer nor one of its sublayers takes `training`")
    for training in (True, False):
        # Other checks report a layer that raises in training.
        with _recording_training(inner) as seen, suppress(LayerError):
            trial.call(layer, trial.usual, training=training)
        wrong = {
            f"{attribute_path(layer, part)} with training={value}"
            for part, value in seen
            if _contradicts(part, value, training)
        }
        if wrong:
            return failed(
                f"called with training={training}, the layer calls {', '.join(sorted(wrong)[:4])}; expected "
                f"training={training}",
                FIX,
            )
    if trial.case.traits.stateful:
        return passed(inner=len(inner))
    plain, inference = trial.call(layer, trial.usual), trial.call(layer, trial.usual, training=False)
    if bitwise_equal(plain, inference):
        return passed(inner=len(inner))
    if _default_of_training(layer) is True:
        return note(
            "a call without `training` runs in training mode, because `call` has the default training=True", DEFAULT_FIX
        )
    return failed(
        "a call without `training` and a call with training=False gave different outputs; expected the same", FIX
    )


def _default_of_training(layer: Any) -> Any:
    parameter = layer._call_signature.parameters.get("training")
    return parameter and parameter.default


def _contradicts(part: Any, value: Any, training: bool) -> bool:
    is_frozen = training and not part.trainable and part.weights
    return bool(value) != training and not is_frozen


@contextmanager
def _recording_training(layers: list[Any]) -> Iterator[list[tuple[Any, Any]]]:
    """Record each call of the layers inside the context: the layer and the value of `training` that it received."""
    seen: list[tuple[Any, Any]] = []

    def record(layer: Any) -> None:
        original = layer.call

        def call(*args: Any, **kwargs: Any) -> Any:
            given = layer._call_signature.bind(*args, **kwargs).arguments
            seen.append((layer, given.get("training")))
            return original(*args, **kwargs)

        object.__setattr__(layer, "call", call)

    for layer in layers:
        record(layer)
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
