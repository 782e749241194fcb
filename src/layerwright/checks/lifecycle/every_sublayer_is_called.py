"""LW111 every-sublayer-is-called."""

from collections.abc import Iterator
from typing import Any

from layerwright.core.case import Case
from layerwright.core.check import check
from layerwright.core.errors import LayerError
from layerwright.core.finding import Finding, passed, warned
from layerwright.trial.paths import layers_of
from layerwright.trial.trial import Trial

MOST_NAMED = 6


@check("LW111", "every-sublayer-is-called", requires=("LW102",), advisory=True)
def every_sublayer_is_called(trial: Trial) -> Finding:
    """Each sublayer that would have weights is built once the layer has been called in inference and in training.

    What it proves:
        Advisory. No sublayer with a `build` of its own stays without weights after both calls.

    Why it matters:
        A sublayer that no call reaches has no weights, is not trained and not saved. It is left over from an edit, or
        the loop that should call it ends too early. Keras warns about it only when a file is loaded.

    How it is tested:
        A new layer is called with `training=False` and `training=True`. Then the sublayers that were neither called nor
        built are listed.

    Exempt when:
        Never. A sublayer that only other arguments reach is to be declared as expected to fail, with the reason.

    References:
        keras.io/guides/making_new_layers_and_models_via_subclassing, "Layers are recursively composable".
    """
    layer = trial.construct()
    trial.call(layer, trial.usual, training=False)
    try:
        trial.call(layer, trial.usual, training=True)
    except LayerError:  # LW209 and LW1002 report a layer that fails in training
        return passed()
    idle = list(_idle(layer))
    if not idle:
        return passed()
    more = " …" if len(idle) > MOST_NAMED else ""
    return warned(
        f"no call reaches {', '.join(idle[:MOST_NAMED])}{more}, neither in inference nor in training; expected each "
        "sublayer to be called",
        "Call the sublayer, or delete it. If only other arguments reach it, declare a case with those.",
        sublayers=idle,
    )


def _idle(layer: Any) -> Iterator[str]:
    """Yield the paths of sublayers that would create weights, but were neither called nor built."""
    import keras

    for part, path in layers_of(layer):
        builds = type(part).build is not keras.layers.Layer.build
        if builds and not part.built and not getattr(part, "_called", False):
            yield f"self.{path.replace('/', '.')}"


def bad() -> Case:
    import keras

    class CallsTheLastOnly(keras.layers.Layer):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.first = keras.layers.Dense(5)
            self.last = keras.layers.Dense(5)

        def call(self, inputs):
            return self.last(inputs)

    return Case(CallsTheLastOnly, inputs=(None, 5))


def good() -> Case:
    import keras

    class CallsBoth(keras.layers.Layer):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.first = keras.layers.Dense(5)
            self.last = keras.layers.Dense(5)

        def call(self, inputs):
            return self.last(self.first(inputs))

    return Case(CallsBoth, inputs=(None, 5))
