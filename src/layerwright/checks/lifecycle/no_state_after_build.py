"""LW106 no-state-after-build."""

from typing import Any

from layerwright.checks.lifecycle._state import created_variables
from layerwright.core.case import Case
from layerwright.core.check import check
from layerwright.core.errors import LayerError, quote
from layerwright.core.finding import Finding, failed, inconclusive, passed
from layerwright.trial.arguments import describe
from layerwright.trial.compare import bitwise_equal
from layerwright.trial.paths import attribute_path
from layerwright.trial.trial import Trial, snapshot

FIX = (
    "Create variables and sublayers once, in `__init__` or `build()`. For a value that depends on the batch, use a "
    "tensor, such as `ops.zeros((ops.shape(inputs)[0], …))`."
)


@check("LW106", "no-state-after-build", requires=("LW102",))
def no_state_after_build(trial: Trial) -> Finding:
    """Calling a built layer creates no variables.

    What it proves:
        After its first call, further calls create no variables, with and without `training=True`, and on another number
        of samples.

    Why it matters:
        A layer that is constructed inside `call` has new random weights each time and never learns. A variable for one
        batch size meets another size at the end of each epoch: Keras refuses the new state, or the compiled step is
        traced again and again.

    How it is tested:
        The layer is called once, then with `training=True` on the same samples, then in both modes on two samples.
        Every construction of a `keras.Variable` is recorded, whether or not the layer keeps it.

    Exempt when:
        Never.

    References:
        keras.io/api/layers/base_layer, "build method"; keras.io, "Making new layers and models via subclassing".
    """
    layer = trial.built()
    refused = []
    two = trial.arguments(2)
    for arguments, training in ((trial.usual, True), (two, True), (two, False)):
        doing = f"calling the built layer on {describe(arguments)} with training={training}"
        with created_variables() as made:
            try:
                trial.call(layer, arguments, training=training)
            except LayerError as error:
                if "cannot add new elements of state" in str(error.error):
                    return failed(f"{doing} raised {quote(error.error)}; expected no new state", FIX)
                refused.append(f"{doing} raised {quote(error.error)}")
        late = [
            f"{attribute_path(layer, variable)} {tuple(variable.shape)}"
            for variable in made
            if not _is_global_seed_state(variable)
        ]
        if late:
            return failed(f"{doing} created variables ({len(late)}): {', '.join(late[:4])}; expected none", FIX)
    if len(refused) == 3:
        return inconclusive(f"all further calls of the built layer failed: {refused[0]}")
    return passed()


def _is_global_seed_state(variable: Any) -> bool:
    """Whether a variable is the state of Keras's process-wide seed generator.

    Keras creates it when a number is first drawn.
    """
    import keras

    (_, before), _ = *snapshot([variable]), keras.random.uniform(())
    return not bitwise_equal(before, snapshot([variable])[0][1])


def bad() -> Case:
    return _offset_case(fresh=True)


def good() -> Case:
    return _offset_case(fresh=False)


def _offset_case(*, fresh: bool) -> Case:
    import keras

    class Offset(keras.layers.Layer):
        def build(self, input_shape):
            self.size = input_shape[0]

        def call(self, inputs, training=None):
            offset = keras.ops.zeros_like(inputs)
            if fresh and training and self.size not in (None, inputs.shape[0]):
                offset = keras.Variable(offset, trainable=False, name="offset")
            return inputs + offset

    return Case(Offset, inputs=(None, 5))
