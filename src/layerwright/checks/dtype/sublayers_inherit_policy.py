"""LW602."""

from collections.abc import Mapping
from typing import Any

from layerwright.core.case import Case
from layerwright.core.check import check
from layerwright.core.errors import LayerError
from layerwright.core.finding import Finding, failed, inconclusive, note, passed, skipped
from layerwright.trial.models import build
from layerwright.trial.policies import given_layers, policy_set
from layerwright.trial.trial import Trial

WANTED, ELSEWHERE = "mixed_float16", "mixed_bfloat16"
FIX = "Pass the policy on: keras.layers.Dense(…, dtype=self.dtype_policy)."


@check("LW602", "sublayers-inherit-policy", requires=("LW109",))
def sublayers_inherit_policy(trial: Trial) -> Finding:
    """A layer that passes its dtype policy on passes it on to every layer that it makes.

    What it proves:
        With `dtype="mixed_float16"` the layers inside do not follow two policies: some the layer's own, and some the
        global one.

    Why it matters:
        A block is given `dtype="float32"` in a model of bfloat16, to be exact, and hands it to three of its four Dense
        layers. The fourth computes in bfloat16 after all; nothing says so, and on loading, under another global
        policy, the block is a different one.

    How it is tested:
        The global policy is set to mixed_bfloat16, the layer constructed with `dtype="mixed_float16"` and built, and
        the policy of every layer inside is read. A sublayer with yet another policy was given that on purpose, as a
        softmax in float32, and is fine. So are layers among the constructor arguments. A layer that passes its policy
        on to none, as many do, is consistent while the policy is set globally: it passes, with a remark.

    Exempt when:
        Never; skipped where nothing is made inside, or the constructor takes no `dtype`.

    References:
        keras.io/api/layers/base_layer, on `dtype` and `dtype_policy`; keras.io/api/mixed_precision.
    """
    if not isinstance(trial.case.layer, type):
        return skipped("the case makes its layer by a function, whose arguments are not the layer's")
    with policy_set(ELSEWHERE):
        given = given_layers(trial, WANTED)
        try:
            layer = trial.construct(**{**given, "dtype": WANTED})
        except LayerError as error:
            return skipped(f"the constructor takes no dtype: {error}")
        if layer.dtype_policy.name != WANTED:
            return skipped(f"the layer has the dtype policy {layer.dtype_policy.name} whatever is asked for")
        refusal = ""
        try:
            build(trial, layer)
        except LayerError as error:  # as it may, where two dtypes meet inside
            refusal = f"the layer cannot be built under {WANTED}: {error}"
    made = _made(layer, given)
    if not made:
        return skipped("the layer makes no sublayers")
    astray = [_named(sublayer) for sublayer in made if sublayer.dtype_policy.name == ELSEWHERE]
    said = (
        f"with dtype={WANTED!r} under the global policy {ELSEWHERE}, {', '.join(astray[:4])} got {ELSEWHERE} "
        f"({len(astray)} of {len(made)} sublayers)"
    )
    if refusal and len(astray) in (0, len(made)):
        return inconclusive(refusal, FIX if astray else "See LW601 policy-is-honoured.")
    if not astray:
        return passed(sublayers=len(made))
    if len(astray) == len(made):
        return note(f"sublayers do not inherit the dtype policy: {said}", FIX)
    return failed(f"{said}; expected {WANTED} as for the others", FIX, astray=astray)


def _made(layer: Any, given: Mapping[str, Any]) -> list[Any]:
    """Return the layers inside that are none of those given, nor inside one of them."""
    import keras

    theirs = {id(part) for each in keras.tree.flatten(given) for part in each._flatten_layers()}
    return [part for part in layer._flatten_layers(include_self=False) if id(part) not in theirs]


def _named(layer: Any) -> str:
    return f"{layer.name} ({type(layer).__name__})"


def bad() -> Case:
    return _block(forgets=True)


def good() -> Case:
    return _block(forgets=False)


def _block(*, forgets: bool) -> Case:
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
