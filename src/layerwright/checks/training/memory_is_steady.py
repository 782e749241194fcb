"""LW1004 memory-is-steady."""

from layerwright.checks.training._kept_objects import (
    TENSORS,
    count_kept_objects,
    describe_place,
    only_new_objects,
    training_call,
)
from layerwright.core.case import Case
from layerwright.core.check import check
from layerwright.core.finding import Finding, failed, passed
from layerwright.trial.trial import Trial

CALLS = (3, 3, 60)
"""Calls between two counts. The last 60 are made only if the counts grew with each of the first calls."""


@check("LW1004", "memory-is-steady", requires=("LW901",), needs_tensors=True)
def memory_is_steady(trial: Trial) -> Finding:
    """Repeated calls do not keep more and more objects in memory.

    What it proves:
        From call to call, neither the number of tensors in memory nor the number of items in the layer's containers
        grows.

    Why it matters:
        A layer may append to a list in `call`, for instance to inspect attention weights later. It then keeps the
        tensors of every batch in memory, on torch together with the autograd graph. Training runs out of memory hours
        later, far from the cause.

    How it is tested:
        The check counts objects; it does not measure bytes. After two calls that may fill caches, it calls the layer on
        the same inputs with `training=True`. It counts the backend's tensors that Python's garbage collector knows, and
        the items in attributes of the layer, of its sublayers, of their classes, and in the outer variables that their
        methods use. If a count grows by at least one per call in two rounds of three calls each, 60 more calls follow.
        The check fails if the count keeps growing. On JAX, a layer with a loop is traced instead of run. Memory that
        the framework itself keeps is not counted.

    Exempt when:
        Never.

    References:
        Python documentation, `gc.freeze` and `gc.get_objects`; PyTorch documentation, "Frequently Asked Questions", on
        history that is kept across a training loop.
    """
    layer = trial.built()
    call = training_call(trial, layer)
    call()
    call()
    with only_new_objects():
        counts = [count_kept_objects(trial, layer)]
        growing = set(counts[0])
        for calls in CALLS:
            for _ in range(calls if growing else 0):
                call()
            counts.append(count_kept_objects(trial, layer) if growing else counts[-1])
            growing = {place for place in growing if counts[-1].get(place, 0) - counts[-2].get(place, 0) >= calls}
    if not growing:
        return passed()
    sizes = {describe_place(layer, place): [count.get(place, 0) for count in counts] for place in growing}
    grown = dict(sorted(sizes.items()))
    names = ", ".join(f"{name} from {sizes[0]} to {sizes[-1]}" for name, sizes in grown.items())
    return failed(
        f"during {sum(CALLS)} calls on the same inputs, these counts grew: {names}; expected no growth",
        "Do not append to lists or dicts in `call()`. Return the values as an output, or overwrite one weight made "
        "with `self.add_weight(…, trainable=False)`."
        + ("" if set(grown) != {TENSORS} else " Also look for lists and dicts at module level."),
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
