"""LW907."""

import inspect
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from layerwright.checks.purity._loops import many_calls
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
    "Keep nothing on self that call() computes or is told: no flag, mask, shape or cache. Hand it on as a local "
    "variable, or work it out in build() where it depends on the built shape alone."
)
Disturbance = Callable[[Any], Any]


@check("LW907", "calls-are-independent", requires=("LW901", "LW804", "LW204"), exempt={"stateful": True})
def calls_are_independent(trial: Trial) -> Finding:
    """A call of another kind, before or in between, changes nothing about a call.

    What it proves:
        The usual call gives the same outputs, bit by bit and in the same structure, whether or not the layer was
        called otherwise: with other sizes, with an optional argument given or left out, in training, symbolically, in
        another precision.

    Why it matters:
        What one call leaves on `self` and the next one reads shows only in the right order of calls: a mask kept from
        the last batch that had one, a flag that is set and never reset, a table of positions made for the first
        length seen. Tests call in one way, users in many.

    How it is tested:
        Each boolean call argument is turned over; each optional tensor is left out; a mask that the case does not give
        is given; batch and free axes get other sizes; training=True; `KerasTensor`s; float16. After each of them the
        usual call is repeated, and must give what it gave first. Each is also the very first call of another layer,
        which with equal weights must then give the same. Whether these calls themselves work is for other checks.

    Exempt when:
        The layer declares `stateful=True`.

    References:
        docs.jax.dev, "Stateful computations"; tensorflow.org/guide/function, "Executing Python side effects".
    """
    with many_calls(trial):
        return _independence(trial)


def _independence(trial: Trial) -> Finding:
    layer = trial.built()
    expected = trial.call(layer, trial.usual, training=False)
    tried = []
    for name, disturb in _disturbances(trial, layer):
        with suppress(LayerError):
            disturb(layer)
        found = _difference(trial, layer, expected)
        order = "after a call"
        if not found:
            found = _difference_if_first(trial, layer, disturb, expected)
            order = "when the layer was first called"
        if found:
            return failed(f"{order} {name}, the usual call {found}; expected what a new layer gives", FIX)
        tried.append(name)
    return passed(tried=tried)


def _disturbances(trial: Trial, layer: Any) -> Iterator[tuple[str, Disturbance]]:
    """Yield other ways to call a layer, each with its name."""
    yield "in training", partial(_call, trial, trial.usual, training=True)
    yield "on symbolic tensors", trial.symbolic_call
    for name, arguments in _other_arguments(trial, layer):
        yield name, partial(_call, trial, arguments)


def _other_arguments(trial: Trial, layer: Any) -> Iterator[tuple[str, Arguments]]:
    usual = trial.usual
    parameters = inspect.signature(layer.call).parameters
    for name, parameter in parameters.items():
        flag = usual.call.get(name, parameter.default)
        if isinstance(flag, bool) and name != "training":
            yield f"with {name}={not flag}", replace(usual, call={**usual.call, name: not flag})
    for name in usual.tensors:
        if name in parameters and parameters[name].default is None:
            left = {other: value for other, value in usual.call.items() if other != name}
            yield (
                f"without {name}",
                replace(usual, call=left, tensors=tuple(each for each in usual.tensors if each != name)),
            )
    if takes_argument(layer, "mask") and "mask" not in usual.call and getattr(usual.inputs, "ndim", 0) > 2:
        mask = InputSpec((None, None), "bool").sample(np.random.default_rng(0), usual.inputs.shape[:2])
        yield "with a mask", replace(usual, call={**usual.call, "mask": mask}, tensors=(*usual.tensors, "mask"))
    if not trial.case.traits.fixed_shape:
        axes = {axis for spec in trial.case.specs() for axis, size in enumerate(spec.shape) if axis and size is None}
        yield (
            "at other sizes",
            trial.arguments(larger(trial), free=dict.fromkeys(axes, 7 + max(1, trial.case.traits.minimum)), seed=1),
        )
    floats = [array.dtype == np.float32 for array in usual.arrays()]
    if all(floats):
        yield "on float16", usual.map(lambda array: array.astype("float16"))


def _call(trial: Trial, arguments: Arguments, layer: Any, training: bool = False) -> None:
    """Call the layer and put its variables back. On JAX it is traced alone: that runs its code and compiles nothing."""
    import keras

    if trial.backend.NAME == "jax":
        symbols = arguments.map(lambda array: keras.KerasTensor(array.shape, dtype=str(array.dtype)))
        with blaming(f"tracing it on {describe(arguments)}"):
            layer(symbols.inputs, **symbols.call)
            trial.backend.trace(pure(layer, arguments, training=training), tensors_of(layer, arguments))
        return
    variables = snapshot(layer.variables) if layer.built else []  # spectral normalisation assigns a trainable one
    trial.call(layer, arguments, training=training)
    restore(variables)


def _difference_if_first(trial: Trial, source: Any, disturb: Disturbance, expected: Any) -> str:
    """As `_difference` of a new layer, disturbed before its first usual call and then given the variables of `source`.

    Empty too where it cannot be: the call raises, or makes other variables.
    """
    layer = trial.construct()
    try:
        disturb(layer)
        if not layer.built:
            trial.call(layer, trial.usual, training=False)
    except LayerError:
        return ""
    shapes = [[variable.shape for variable in one.variables] for one in (layer, source)]
    if shapes[0] != shapes[1]:
        return ""
    copy_weights(source, layer)
    return _difference(trial, layer, expected)


def _difference(trial: Trial, layer: Any, expected: Any) -> str:
    """Say how the usual call differs from `expected`; empty if it does not."""
    try:
        outputs = trial.call(layer, trial.usual, training=False)
    except LayerError as error:
        return f"raises {quote(error.error)}"
    if _structure(outputs) != _structure(expected):
        return "gives outputs in another structure"
    if not bitwise_equal(expected, outputs):
        return f"differs by {largest_difference(expected, outputs):.3g} of scale"
    return ""


def _structure(outputs: Any) -> Any:
    import keras

    return keras.tree.map_structure(lambda leaf: leaf is None, outputs)


def bad() -> Case:
    return _attention(forgets=False)


def good() -> Case:
    return _attention(forgets=True)


def _attention(*, forgets: bool) -> Case:
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
