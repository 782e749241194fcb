"""LW602 sublayers-inherit-policy."""

from collections.abc import Mapping
from typing import Any

from layerwright.core.case import Case
from layerwright.core.check import check
from layerwright.core.errors import LayerError
from layerwright.core.finding import Finding, failed, inconclusive, note, passed, skipped
from layerwright.trial.models import build
from layerwright.trial.paths import attribute_path
from layerwright.trial.policies import given_layers, policy_set
from layerwright.trial.trial import Trial

OWN_POLICY, GLOBAL_POLICY = "mixed_float16", "mixed_bfloat16"
FIX = "Pass the policy on to every sublayer: `keras.layers.Dense(…, dtype=self.dtype_policy)`."


@check("LW602", "sublayers-inherit-policy", requires=("LW109",))
def sublayers_inherit_policy(trial: Trial) -> Finding:
    """A layer passes its dtype policy on to all sublayers that it creates, or to none.

    What it proves:
        With `dtype="mixed_float16"`, the sublayers do not follow two different policies, some the layer's own and some
        the global one.

    Why it matters:
        In a bfloat16 model, a block is given `dtype="float32"` for accuracy and passes it on to three of its four Dense
        layers. The fourth still computes in bfloat16, without a warning. If the block is loaded under another global
        policy, it computes something else.

    How it is tested:
        The global policy is set to mixed_bfloat16, the layer is constructed with `dtype="mixed_float16"` and built, and
        the policies of its sublayers are read. A sublayer with a third policy was given it on purpose, such as a
        softmax in float32, and is accepted. Layers among the constructor arguments are accepted too. Many layers pass
        their policy on to no sublayer. That is consistent as long as the policy is set globally, so the check passes
        with a note.

    Exempt when:
        Never. The check is skipped if the layer creates no sublayers, or if its constructor accepts no `dtype`.

    References:
        keras.io/api/layers/base_layer, on `dtype` and `dtype_policy`; keras.io/api/mixed_precision.
    """
    if not isinstance(trial.case.layer, type):
        return skipped("the case creates its layer with a function, which need not accept the argument dtype")
    with policy_set(GLOBAL_POLICY):
        given = given_layers(trial, OWN_POLICY)
        try:
            layer = trial.construct(**{**given, "dtype": OWN_POLICY})
        except LayerError as error:
            return skipped(f"the constructor does not accept dtype={OWN_POLICY!r}: {error}")
        if layer.dtype_policy.name != OWN_POLICY:
            return skipped(
                f"constructed with dtype={OWN_POLICY!r}, the layer has the policy {layer.dtype_policy.name!r}"
            )
        refusal = ""
        try:
            build(trial, layer)
        # Building may fail because two dtypes are combined inside the layer.
        except LayerError as error:
            refusal = f"the layer cannot be built under {OWN_POLICY}: {error}"
    sublayers = _created_sublayers(layer, given)
    if not sublayers:
        return skipped("the layer creates no sublayers")
    without_policy = [
        _describe_sublayer(layer, sublayer) for sublayer in sublayers if sublayer.dtype_policy.name == GLOBAL_POLICY
    ]
    seen = (
        f"with dtype={OWN_POLICY!r} under the global policy {GLOBAL_POLICY!r}, {len(without_policy)} of "
        f"{len(sublayers)} sublayers got the global policy: {', '.join(without_policy[:4])}"
    )
    if refusal and len(without_policy) in (0, len(sublayers)):
        return inconclusive(refusal, FIX if without_policy else "See LW601 policy-is-honoured.")
    if not without_policy:
        return passed(sublayers=len(sublayers))
    if len(without_policy) == len(sublayers):
        return note(f"sublayers do not inherit the dtype policy: {seen}", FIX)
    return failed(f"{seen}; expected {OWN_POLICY!r} for all", FIX, astray=without_policy)


def _created_sublayers(layer: Any, given: Mapping[str, Any]) -> list[Any]:
    """Return the sublayers that compute and are neither among the given layers nor inside one of them.

    A model of one of Keras's own classes, sequential or functional, only calls its layers, and an input layer only
    marks an input: their dtype does not matter.
    """
    import keras

    theirs = {id(part) for each in keras.tree.flatten(given) for part in each._flatten_layers()}
    parts = layer._flatten_layers(include_self=False)
    return [part for part in parts if id(part) not in theirs and not _only_calls_others(part)]


def _only_calls_others(part: Any) -> bool:
    import keras

    is_model_of_keras = isinstance(part, keras.Model) and type(part).__module__.startswith("keras.")
    return is_model_of_keras or isinstance(part, keras.layers.InputLayer)


def _describe_sublayer(layer: Any, sublayer: Any) -> str:
    return f"{attribute_path(layer, sublayer)} ({type(sublayer).__name__})"


def bad() -> Case:
    return _block_case(forgets=True)


def good() -> Case:
    return _block_case(forgets=False)


def _block_case(*, forgets: bool) -> Case:
    import keras

    class Block(keras.layers.Layer):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.wide = keras.layers.Dense(8, dtype=self.dtype_policy)
            self.narrow = keras.layers.Dense(5, dtype=None if forgets else self.dtype_policy)

        def build(self, input_shape):
            self.wide.build(input_shape)
            self.narrow.build((*input_shape[:-1], 8))

        def call(self, inputs):
            return inputs + self.narrow(self.wide(inputs))

    return Case(Block, inputs=(None, 5))
