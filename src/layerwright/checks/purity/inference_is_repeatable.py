"""LW901."""

from contextlib import suppress

from layerwright.core.case import Case
from layerwright.core.check import check
from layerwright.core.errors import LayerError, quote
from layerwright.core.finding import Finding, failed, passed
from layerwright.trial.compare import bitwise_equal, largest_difference
from layerwright.trial.trial import Trial, snapshot

FIX = (
    "Keep what must last between calls in a non-trainable weight (self.add_weight(…, trainable=False)) and declare "
    "stateful=True; keep nothing that call() computes on self."
)


@check("LW901", "inference-is-repeatable", requires=("LW102",), exempt={"stateful": True})
def inference_is_repeatable(trial: Trial) -> Finding:
    """In inference the same inputs give the same outputs, whatever the layer was called on before.

    What it proves:
        A call in inference leaves nothing behind: neither in the layer's variables nor in its Python attributes.

    Why it matters:
        A value kept on `self` by one call and used by the next makes answers depend on the order of requests. Worse, a
        compiled step traces `call` once: what it keeps is then a tracer or a symbolic tensor, and the next eager call
        fails far from the cause. Nothing else can be proved of a layer whose answers change by themselves.

    How it is tested:
        A built layer is called on inputs, then on others, then symbolically as a functional model does, then on the
        first inputs again: the outputs must be the same bit by bit, with random generators and seeds put back, and no
        variable may have moved.

    Exempt when:
        The layer declares `stateful=True`.

    References:
        keras.io/api/layers/base_layer, "add_weight method"; docs.jax.dev, "Stateful computations".
    """
    layer = trial.built()
    first = trial.call(layer, trial.usual, training=False)
    before = snapshot(layer.variables)
    trial.call(layer, trial.arguments(seed=1), training=False, keep_state=True)
    moved = [variable.path for variable, value in before if not bitwise_equal(value, snapshot([variable])[0][1])]
    if moved and not trial.case.traits.random:
        return failed(f"a call in inference changed {', '.join(moved[:4])}; expected no change of state", FIX)
    for variable, value in before:
        variable.assign(value)
    with suppress(LayerError):  # that it can be called symbolically is LW201's to prove
        trial.symbolic_call(layer)
    try:
        again = trial.call(layer, trial.usual, training=False)
    except LayerError as error:
        return failed(
            f"after calls on other inputs and on symbolic ones, the first call raised {quote(error.error)}", FIX
        )
    if not bitwise_equal(first, again):
        difference = largest_difference(first, again)
        return failed(f"the same inputs gave outputs that differ by {difference:.3g} after calls on other inputs", FIX)
    return passed()


def bad() -> Case:
    import keras

    class Remembers(keras.layers.Layer):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.largest = 0.0

        def call(self, inputs):
            if isinstance(inputs, keras.KerasTensor):
                return inputs
            self.largest = max(self.largest, float(keras.ops.max(keras.ops.convert_to_numpy(inputs))))
            return inputs / self.largest

    return Case(Remembers, inputs=(None, 5))


def good() -> Case:
    import keras

    class Forgets(keras.layers.Layer):
        def call(self, inputs):
            return inputs - keras.ops.max(inputs, axis=-1, keepdims=True)

    return Case(Forgets, inputs=(None, 5))
