"""LW1004."""

from layerwright.checks.training._held import TENSORS, caller, held, only_what_is_new
from layerwright.core.case import Case
from layerwright.core.check import check
from layerwright.core.finding import Finding, failed, passed
from layerwright.trial.trial import Trial

CALLS = (3, 3, 60)
"""Calls between two counts. The last, many ones are made only of a layer that seems to keep something."""


@check("LW1004", "memory-is-steady", requires=("LW901",))
def memory_is_steady(trial: Trial) -> Finding:
    """A call leaves nothing behind in memory: the thousandth needs no more than the third.

    What it proves:
        Neither the number of tensors alive, nor the number of items in any container within the layer's reach, grows
        from call to call.

    Why it matters:
        A layer that appends to a list in `call`, to look at attention weights later or to remember shapes, keeps every
        batch's tensors alive, on torch with the graph behind them. Training then ends hours later with the memory
        used up, far from the cause.

    How it is tested:
        By counts, not by bytes or seconds. After two calls to fill what is filled once, the layer is called on the
        same inputs with `training=True`; tensors of the backend are counted by Python's garbage collector, items in
        the attributes of the layer, its sublayers and their classes, and in what their methods refer to outside. What
        grows by one or more a call in each of two windows of three calls must have stopped before sixty more. On JAX a
        layer that holds a loop is traced rather than run. Memory that the framework itself keeps is not counted.

    Exempt when:
        Never.

    References:
        Python documentation, gc.freeze and gc.get_objects; PyTorch documentation, "Frequently Asked Questions", on
        history that is kept across a training loop.
    """
    layer = trial.built()
    call = caller(trial, layer)
    call()
    call()
    with only_what_is_new():
        counts = [held(trial, layer)]
        growing = set(counts[0])
        for calls in CALLS:
            for _ in range(calls if growing else 0):
                call()
            counts.append(held(trial, layer) if growing else counts[-1])
            growing = {name for name in growing if counts[-1].get(name, 0) - counts[-2].get(name, 0) >= calls}
    if not growing:
        return passed()
    grown = {name: [count.get(name, 0) for count in counts] for name in sorted(growing)}
    names = ", ".join(f"{name} from {sizes[0]} to {sizes[-1]}" for name, sizes in grown.items())
    return failed(
        f"{sum(CALLS)} calls on the same inputs made grow: {names}; expected no growth",
        "Keep nothing in call(): return what is to be looked at as an output, or keep one summary in a non-trainable "
        "weight that is overwritten. "
        + ("" if set(grown) != {TENSORS} else "Look in module-level and global objects."),
        counts=grown,
    )


def bad() -> Case:
    import keras

    class KeepsShapes(keras.layers.Layer):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.shapes = []

        def call(self, inputs):
            self.shapes.append(tuple(inputs.shape))
            return keras.ops.tanh(inputs)

    return Case(KeepsShapes, inputs=(None, 5))


def good() -> Case:
    import keras

    class KeepsLastShape(keras.layers.Layer):
        def call(self, inputs):
            self.shape = tuple(inputs.shape)
            return keras.ops.tanh(inputs)

    return Case(KeepsLastShape, inputs=(None, 5))
