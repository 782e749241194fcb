"""LW207."""

from typing import Any

from layerwright.core.case import Case
from layerwright.core.check import check
from layerwright.core.errors import LayerError
from layerwright.core.finding import Finding, failed, inconclusive, passed, skipped
from layerwright.trial.arguments import Arguments
from layerwright.trial.compare import bitwise_equal, largest_difference, leaves
from layerwright.trial.models import feed, functional
from layerwright.trial.subject import caller, draws, lively, tolerance
from layerwright.trial.trial import Trial


@check("LW207", "structure-is-kept", requires=("LW202",))
def structure_is_kept(trial: Trial) -> Finding:
    """Inputs are told apart by name and place, and a functional model computes what the layer computes.

    What it proves:
        A dict of inputs in another order gives the same outputs. A functional model around the layer, with one
        `keras.Input` for each tensor, gives the same tensors as the layer called directly.

    Why it matters:
        Data pipelines, saved models and Keras itself sort the keys of dicts: a layer that unpacks `inputs.values()`
        then mistakes one input for another of the same shape. Inside a functional model a layer is called through
        its recorded arguments; what it keeps outside of them goes astray.

    How it is tested:
        A built layer is called on the usual inputs; then, where a call argument is a dict, with its keys in reverse,
        to be equal bit by bit; then as the one layer of a functional model, its further tensor arguments passed by
        keyword, to be equal to rounding.

    Exempt when:
        The second part: the layer declares `fixed_shape` and refuses an unknown batch size.

    References:
        keras.io/guides/functional_api, "Models with multiple inputs and outputs".
    """
    layer, usual = lively(trial), trial.usual
    if _holds_dict([usual.inputs, *usual.call.values()]):
        reordered = Arguments(_reversed(usual.inputs), _reversed(usual.call), usual.tensors)
        again = trial.call(layer, reordered, training=False)
        if not bitwise_equal(trial.call(layer, usual, training=False), again):
            return failed(
                "with the keys of its input dict in another order the layer gives other outputs; expected the same",
                'Take inputs by key, inputs["query"], never by order: no inputs.values() or keys() to unpack.',
            )
    try:
        model = functional(trial, layer)
    except LayerError:
        if trial.case.traits.fixed_shape:
            return skipped("exempt: the layer declares fixed_shape=True and refuses an unknown batch size")
        raise
    direct, held = caller(trial, False)(usual), leaves(trial.call(model, feed(trial), training=False))
    difference, allowed = largest_difference(direct, held), tolerance(trial)
    if difference > allowed and draws(trial):
        return inconclusive("two calls of the layer differ: it draws random numbers, or keeps state, in inference")
    if difference > allowed:
        return failed(
            f"in a functional model the layer gives {_shapes(held)}, {difference:.3g} of scale away from the "
            f"{_shapes(direct)} it gives directly; at most {allowed:g} is rounding",
            "Compute from the arguments of call alone, and return new tensors rather than what an earlier call kept.",
        )
    return passed(difference=difference)


def _reversed(tree: Any) -> Any:
    """Return the same structure with the keys of every dict in reverse."""
    if isinstance(tree, dict):
        return {key: _reversed(tree[key]) for key in reversed(tree)}
    return type(tree)(map(_reversed, tree)) if type(tree) in (list, tuple) else tree


def _holds_dict(tree: Any) -> bool:
    return isinstance(tree, dict) or (isinstance(tree, (list, tuple)) and any(map(_holds_dict, tree)))


def _shapes(outputs: list[Any]) -> str:
    return " and ".join(str(output.shape) for output in outputs)


def bad() -> Case:
    import keras

    class Difference(keras.layers.Layer):
        def call(self, inputs):
            after, before = inputs.values()
            return after - before

    return Case(Difference, inputs={"after": (None, 5), "before": (None, 5)})


def good() -> Case:
    import keras

    class Difference(keras.layers.Layer):
        def call(self, inputs):
            return inputs["after"] - inputs["before"]

    return Case(Difference, inputs={"after": (None, 5), "before": (None, 5)})
