"""LW1001."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from layerwright.checks.parity._observation import Observation, layer_with, steady, weights_of
from layerwright.core.case import Case
from layerwright.core.check import check
from layerwright.core.finding import Finding, failed, inconclusive, passed
from layerwright.trial.arguments import Array
from layerwright.trial.compare import relative_difference
from layerwright.trial.gradients import gradients
from layerwright.trial.trial import Trial

OUTPUTS, GRADIENTS = 1e-4, 1e-3
"""How far values may differ, relative to the largest: kernels sum in other orders, and gradients sum more."""

MOST_SHOWN = 40

Difference = dict[str, Any]
"""Of an output or gradient: how much it differs, relative to the largest entry, and how much it may."""

FIX = (
    "Compute with keras.ops alone: a framework's own function often has other defaults (torch's var divides by n - 1, "
    "its gelu is exact, paddings and roundings differ), and so does a branch on keras.config.backend()."
)


@check("LW1001", "backend-parity", requires=("LW102", "LW901"), exempt={"stateful": True}, across_backends=True)
def backend_parity(first: Observation, second: Observation) -> Finding:
    """With equal weights and inputs, the layer computes the same on every backend: outputs, gradients and losses.

    What it proves:
        The layer has the same weights by path and shape on every backend, and with equal values in them equal outputs
        in inference and training, gradients by weights and inputs, and losses: to float32 rounding.

    Why it matters:
        A model is trained on one backend and served on another. A layer that works on each, but computes something
        else, is found by nobody's tests, as each test process sees one backend.

    How it is tested:
        Each backend runs in a process of its own. The first one's weights, moved off their initial values, are copied
        into the layer on the others. Outputs may differ by 1e-4 of the largest, gradients by 1e-3. Outputs that
        depend on random draws are left out.

    Exempt when:
        The layer declares `stateful=True`.

    References:
        keras.io, "Keras 3: portable layers"; pytorch.org, torch.var, "correction".
    """
    if [array.shape for array in first.arguments] != [array.shape for array in second.arguments]:
        return inconclusive("the two backends settled on different inputs", "Give --input.")
    measured: list[Difference] = []
    differences = [words for words in _differences(first, second, measured) if words]
    largest = sorted(measured, key=lambda each: -each["difference"] / each["allowed"])[:MOST_SHOWN]
    if differences:
        return failed("; ".join(differences[:4]), FIX, differences=largest)
    return passed(differences=largest)


def observe(trial: Trial, first: Observation | None) -> Observation:
    """Compute everything that is compared, with the weights that the first backend drew."""
    layer = layer_with(trial, None if first is None else first.weights)
    training = steady(trial, layer, training=True)
    losses = _losses(trial, layer) if training is not None else ()
    found = None
    if training is not None and trial.case.traits.smooth:
        found = gradients(trial, layer, trial.usual, training=True)
    by_name = None
    if found is not None:
        inputs = zip((name for name, _ in trial.usual.named_arrays()), found.inputs, strict=True)
        weights = ((path.partition("/")[2] or path, value) for path, value in found.weights.items())
        by_name = (*weights, *inputs)
    return Observation(
        tuple(trial.usual.arrays()),
        weights_of(layer),
        steady(trial, layer, training=False),
        training,
        by_name,
        losses,
    )


def _losses(trial: Trial, layer: Any) -> tuple[float, ...]:
    import keras

    trial.call(layer, trial.usual, training=True)
    return tuple(float(keras.ops.convert_to_numpy(loss)) for loss in layer.losses)


def _differences(first: Observation, second: Observation, measured: list[Difference]) -> Iterator[str]:
    """Say what differs, and add to `measured` by how much each output and gradient does."""
    yield _outputs(first.outputs, second.outputs, "in inference", measured)
    yield _outputs(first.training, second.training, "in training", measured)
    if len(first.losses) != len(second.losses):
        yield f"it adds {len(second.losses)} losses instead of {len(first.losses)}"
    elif not np.allclose(first.losses, second.losses, rtol=OUTPUTS, atol=OUTPUTS):
        yield f"its losses are {second.losses} instead of {first.losses}"
    for (name, ours), (_, theirs) in zip(first.gradients or (), second.gradients or (), strict=True):
        if ours is None and theirs is None:
            continue
        difference = relative_difference(_flowing(ours, theirs), _flowing(theirs, ours))
        measured.append({"name": f"gradient by {name}", "difference": difference, "allowed": GRADIENTS})
        if difference > GRADIENTS:
            yield f"the gradient by {name} differs by {difference:.3g} of its largest entry"


def _outputs(
    first: Sequence[Array] | None, second: Sequence[Array] | None, when: str, measured: list[Difference]
) -> str:
    if first is None or second is None:
        return ""
    kinds, others = ([f"{_kind(array)} {array.shape}" for array in each] for each in (first, second))
    if kinds != others:
        return f"the output {when} is {', '.join(others)} instead of {', '.join(kinds)}"
    differences = list(map(relative_difference, first, second))
    measured += [
        {"name": f"output {place} {when}", "difference": each, "allowed": OUTPUTS}
        for place, each in enumerate(differences)
    ]
    difference = max(differences, default=0.0)
    return f"outputs {when} differ by {difference:.3g}" if difference > OUTPUTS else ""


def _kind(array: Array) -> str:
    """Name what must be the same: which float it is, but of integers only that they are, as JAX has no 64-bit ones."""
    return str(array.dtype) if array.dtype.kind not in "iu" else "integer"


def _flowing(gradient: Array | None, other: Array | None) -> Array:
    """Return a gradient; zeros where none flows, as JAX says it."""
    return np.zeros_like(other) if gradient is None else gradient


def bad() -> Case:
    import keras

    class Standardize(keras.layers.Layer):
        def call(self, inputs):
            if keras.config.backend() == "torch" and not isinstance(inputs, keras.KerasTensor):
                variance = inputs.var(-1, keepdim=True)
            else:
                variance = keras.ops.var(inputs, axis=-1, keepdims=True)
            return inputs / (variance + 1.0)

    return Case(Standardize, inputs=(None, 5))


def good() -> Case:
    import keras

    class Standardize(keras.layers.Layer):
        def call(self, inputs):
            return inputs / (keras.ops.var(inputs, axis=-1, keepdims=True) + 1.0)

    return Case(Standardize, inputs=(None, 5))
