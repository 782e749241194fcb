"""LW907 calls-are-independent."""

import inspect
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from layerwright.checks.purity._loops import uncompiled_loops
from layerwright.core.case import Case, InputSpec
from layerwright.core.check import check
from layerwright.core.errors import LayerError, quote
from layerwright.core.finding import Finding, failed, passed
from layerwright.trial.arguments import Arguments, describe
from layerwright.trial.compare import bitwise_equal, largest_difference
from layerwright.trial.gradients import pure, tensors_of
from layerwright.trial.subject import larger
from layerwright.trial.trial import Trial, blaming, copy_weights, restore, snapshot, takes_argument

FIX = (
    "In `call()`, do not store flags, masks, shapes or caches on `self`. Use local variables. If a value depends "
    "only on the input shape, compute it in `build()`."
)
OtherCall = Callable[[Any], Any]


@check(
    "LW907",
    "calls-are-independent",
    requires=("LW901", "LW804", "LW204"),
    exempt={"stateful": True},
    needs_tensors=True,
)
def calls_are_independent(trial: Trial) -> Finding:
    """The result of a call does not depend on earlier calls of another kind.

    What it proves:
        A call on the case's arguments gives the same outputs, bit by bit and in the same structure, after calls with
        other sizes, with or without an optional argument, in training, on symbolic tensors, or in another precision.

    Why it matters:
        If one call stores something on `self` and a later call reads it, the error appears only for some orders of
        calls. Examples are a mask kept from an earlier batch, a flag that is set and never reset, and a table of
        positions made for the first length. Tests usually call a layer in one way only; users call it in many.

    How it is tested:
        The check makes other calls: it flips each boolean argument, leaves out each optional tensor, adds a mask, uses
        other sizes for the batch and free axes, sets `training=True`, passes `KerasTensor`s, and passes float16. After
        each of them, it repeats the call on the case's arguments, which must give the same outputs as before. Each
        other call is also made as the first call of a new layer, which must then give the same outputs with equal
        weights. Whether the other calls themselves succeed is not checked here.

    Exempt when:
        The layer declares `stateful=True`.

    References:
        docs.jax.dev, "Stateful computations"; tensorflow.org/guide/function, "Executing Python side effects".
    """
    with uncompiled_loops(trial):
        return _find_dependence(trial)


def _find_dependence(trial: Trial) -> Finding:
    layer = trial.built()
    expected = trial.call(layer, trial.usual, training=False)
    tried = []
    for name, call in _other_calls(trial, layer):
        with suppress(LayerError):
            call(layer)
        difference = _describe_difference(trial, layer, expected)
        order = "after a call"
        if not difference:
            difference = _describe_difference_if_first(trial, layer, call, expected)
            order = "when the layer was first called"
        if difference:
            return failed(
                f"{order} {name}, a call on {describe(trial.usual)} {difference}; expected the outputs of a new layer",
                FIX,
            )
        tried.append(name)
    return passed(tried=tried)


def _other_calls(trial: Trial, layer: Any) -> Iterator[tuple[str, OtherCall]]:
    """Yield other calls of a layer, each with a name that completes "a call …"."""
    yield "with training=True", partial(_call_and_restore, trial, trial.usual, training=True)
    yield "on symbolic tensors", trial.symbolic_call
    for name, arguments in _other_arguments(trial, layer):
        yield name, partial(_call_and_restore, trial, arguments)


def _other_arguments(trial: Trial, layer: Any) -> Iterator[tuple[str, Arguments]]:
    usual = trial.usual
    parameters = inspect.signature(layer.call).parameters
    for name, parameter in parameters.items():
        flag = usual.call.get(name, parameter.default)
        if isinstance(flag, bool) and name != "training":
            yield f"with {name}={not flag}", replace(usual, call={**usual.call, name: not flag})
    for name in usual.tensors:
        if name in parameters and parameters[name].default is None:
            remaining = {other: value for other, value in usual.call.items() if other != name}
            yield (
                f"without {name}",
                replace(usual, call=remaining, tensors=tuple(each for each in usual.tensors if each != name)),
            )
    if takes_argument(layer, "mask") and "mask" not in usual.call and getattr(usual.inputs, "ndim", 0) > 2:
        mask = InputSpec((None, None), "bool").sample(np.random.default_rng(0), usual.inputs.shape[:2])
        yield "with a mask", replace(usual, call={**usual.call, "mask": mask}, tensors=(*usual.tensors, "mask"))
    if not trial.case.traits.fixed_shape:
        axes = {axis for spec in trial.case.specs() for axis, size in enumerate(spec.shape) if axis and size is None}
        yield (
            "with other sizes",
            trial.arguments(larger(trial), free=dict.fromkeys(axes, 7 + max(1, trial.case.traits.minimum)), seed=1),
        )
    floats = [array.dtype == np.float32 for array in usual.arrays()]
    if all(floats):
        yield "with float16 inputs", usual.map(lambda array: array.astype("float16"))


def _call_and_restore(trial: Trial, arguments: Arguments, layer: Any, training: bool = False) -> None:
    """Call the layer and restore its variables. On JAX only trace it, which runs its code without compiling."""
    import keras

    if trial.backend.NAME == "jax":
        symbols = arguments.map(lambda array: keras.KerasTensor(array.shape, dtype=str(array.dtype)))
        with blaming(f"tracing the layer on {describe(arguments)}"):
            layer(symbols.inputs, **symbols.call)
            trial.backend.trace(pure(layer, arguments, training=training), tensors_of(layer, arguments))
        return
    # All variables, because spectral normalisation assigns a trainable one.
    variables = snapshot(layer.variables) if layer.built else []
    trial.call(layer, arguments, training=training)
    restore(variables)


def _describe_difference_if_first(trial: Trial, source: Any, call: OtherCall, expected: Any) -> str:
    """As `_describe_difference` for a new layer whose first call is `call`, and which then gets `source`'s variables.

    Also empty if that is impossible, because the call raises or creates other variables.
    """
    layer = trial.construct()
    try:
        call(layer)
        if not layer.built:
            trial.call(layer, trial.usual, training=False)
    except LayerError:
        return ""
    shapes = [[variable.shape for variable in one.variables] for one in (layer, source)]
    if shapes[0] != shapes[1]:
        return ""
    copy_weights(source, layer)
    return _describe_difference(trial, layer, expected)


def _describe_difference(trial: Trial, layer: Any, expected: Any) -> str:
    """Say how a call on the case's arguments differs from `expected`; empty if it does not."""
    try:
        outputs = trial.call(layer, trial.usual, training=False)
    except LayerError as error:
        return f"raised {quote(error.error)}"
    if _output_structure(outputs) != _output_structure(expected):
        return "returned outputs in another structure"
    if not bitwise_equal(expected, outputs):
        difference = largest_difference(expected, outputs)
        return f"gave outputs that differ by {difference:.3g}, relative to their largest value"
    return ""


def _output_structure(outputs: Any) -> Any:
    import keras

    return keras.tree.map_structure(lambda leaf: leaf is None, outputs)


def bad() -> Case:
    return _doubled(forgets=False)


def good() -> Case:
    return _doubled(forgets=True)


def _doubled(*, forgets: bool) -> Case:
    import keras

    class Doubled(keras.layers.Layer):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.doubled = False

        def call(self, inputs, double=False):
            doubled = double if forgets else double or self.doubled
            self.doubled = doubled
            return inputs * 2.0 if doubled else inputs

    return Case(Doubled, inputs=(None, 5))
