"""LW207 structure-is-kept."""

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


@check("LW207", "structure-is-kept", requires=("LW202",), needs_tensors=True)
def structure_is_kept(trial: Trial) -> Finding:
    """The layer tells its inputs apart by key and position, and computes the same in a functional model.

    What it proves:
        The order of the keys in a dict of inputs does not change the outputs. A functional model around the layer, with
        one `keras.Input` for each tensor, returns what the layer returns.

    Why it matters:
        Data pipelines, saved models and Keras itself sort the keys of dicts. A layer that unpacks `inputs.values()`
        then mistakes one input for another of the same shape. A functional model calls a layer through its recorded
        arguments. Anything that the layer keeps outside of them is lost.

    How it is tested:
        A built layer is called on the usual inputs. If a call argument is a dict, the layer is called again with the
        keys in reverse order, and the outputs must be equal bit by bit. Then the layer is called in a functional model
        of its own, with further tensor arguments passed by keyword, and the outputs must be equal except for rounding.

    Exempt when:
        The second part is skipped if the layer declares `fixed_shape=True` and the functional model cannot be made.

    References:
        keras.io/guides/functional_api, "Models with multiple inputs and outputs".
    """
    layer, usual = lively(trial), trial.usual
    if _contains_dict([usual.inputs, *usual.call.values()]):
        reordered = Arguments(_with_reversed_keys(usual.inputs), _with_reversed_keys(usual.call), usual.tensors)
        again = trial.call(layer, reordered, training=False)
        if not bitwise_equal(trial.call(layer, usual, training=False), again):
            return failed(
                "another order of the keys in a dict of inputs changed the outputs; expected no change",
                'Read inputs by key, as in `inputs["query"]`, never by order: do not unpack `inputs.values()`.',
            )
    try:
        model = functional(trial, layer)
    except LayerError:
        if trial.case.traits.fixed_shape:
            return skipped("exempt: the layer declares fixed_shape=True and cannot be called in a functional model")
        raise
    direct, in_model = caller(trial, False)(usual), leaves(trial.call(model, feed(trial), training=False))
    difference, allowed = largest_difference(direct, in_model), tolerance(trial)
    if difference > allowed and draws(trial):
        return inconclusive(
            "two calls on the same inputs differ: the layer draws random numbers or keeps state in inference"
        )
    if difference > allowed:
        return failed(
            f"in a functional model, outputs of shape {_join_shapes(in_model)} differ by {difference:.3g} of their "
            f"scale from those of a direct call, of shape {_join_shapes(direct)}; expected at most {allowed:g}, for "
            "rounding",
            "Compute outputs only from the arguments of `call`, and return new tensors, not tensors that an earlier "
            "call kept.",
        )
    return passed(difference=difference)


def _with_reversed_keys(tree: Any) -> Any:
    """Return the same structure with the keys of every dict in reverse order."""
    if isinstance(tree, dict):
        return {key: _with_reversed_keys(tree[key]) for key in reversed(tree)}
    return type(tree)(map(_with_reversed_keys, tree)) if type(tree) in (list, tuple) else tree


def _contains_dict(tree: Any) -> bool:
    return isinstance(tree, dict) or (isinstance(tree, (list, tuple)) and any(map(_contains_dict, tree)))


def _join_shapes(outputs: list[Any]) -> str:
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
