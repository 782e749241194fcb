"""LW106."""

from typing import Any

from layerwright.checks.lifecycle._state import created_variables
from layerwright.core.case import Case
from layerwright.core.check import check
from layerwright.core.errors import LayerError, quote
from layerwright.core.finding import Finding, failed, inconclusive, passed
from layerwright.trial.arguments import describe
from layerwright.trial.compare import bitwise_equal
from layerwright.trial.trial import Trial, snapshot

FIX = (
    "Create variables and sublayers once, in __init__ or build(); for a value that depends on the batch use a tensor, "
    "such as ops.zeros((ops.shape(inputs)[0], …))."
)


@check("LW106", "no-state-after-build", requires=("LW102",))
def no_state_after_build(trial: Trial) -> Finding:
    """Calls of a built layer make no variables.

    What it proves:
        After its first call, a layer creates no variable in further ones: with and without `training`, or on another
        number of samples.

    Why it matters:
        A layer that is constructed inside `call` has new random weights each time and never learns. A variable made
        for a batch size meets one more size at the end of each epoch: Keras refuses the new state, or the compiled
        step is traced again and again.

    How it is tested:
        The layer is called once, then with `training=True` on the same samples, and both ways on two samples, while
        every construction of a `keras.Variable` is recorded, whether or not the layer keeps it.

    Exempt when:
        Never.

    References:
        keras.io/api/layers/base_layer, "build method"; keras.io, "Making new layers and models via subclassing".
    """
    layer = trial.built()
    refused = []
    two = trial.arguments(2)
    for arguments, training in ((trial.usual, True), (two, True), (two, False)):
        words = f"a call on {describe(arguments)} with training={training}"
        with created_variables() as made:
            try:
                trial.call(layer, arguments, training=training)
            except LayerError as error:
                if "cannot add new elements of state" in str(error.error):
                    return failed(f"{words} of the built layer raised {quote(error.error)}", FIX)
                refused.append(f"{words} raised {quote(error.error)}")
        late = [f"{variable.path} {tuple(variable.shape)}" for variable in made if not _is_global(variable)]
        if late:
            return failed(f"{words} of the built layer made {len(late)} new variables: {', '.join(late[:4])}", FIX)
    if len(refused) == 3:
        return inconclusive(f"no further call works: {refused[0]}")
    return passed()


def _is_global(variable: Any) -> bool:
    """Whether a variable is the state of Keras's process-wide seed generator, which is made when first drawn from."""
    import keras

    (_, before), _ = *snapshot([variable]), keras.random.uniform(())
    return not bitwise_equal(before, snapshot([variable])[0][1])


def bad() -> Case:
    return _offset(fresh=True)


def good() -> Case:
    return _offset(fresh=False)


def _offset(*, fresh: bool) -> Case:
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
