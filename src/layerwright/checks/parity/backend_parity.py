"""LW1001."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from layerwright.checks.parity._observation import Observation, layer_with, outputs_unless_random, weights_of
from layerwright.core.case import Case
from layerwright.core.check import check
from layerwright.core.finding import Finding, failed, inconclusive, passed
from layerwright.trial.arguments import Array
from layerwright.trial.compare import relative_difference
from layerwright.trial.gradients import gradients
from layerwright.trial.paths import attribute_path
from layerwright.trial.trial import Trial

OUTPUTS, GRADIENTS = 1e-4, 1e-3
"""How much values may differ, relative to the largest: backends sum in other orders, and gradients sum more terms."""

MOST_SHOWN = 40

Difference = dict[str, Any]
"""The name of an output or gradient, its difference relative to the largest entry, and the allowed difference."""

FIX = (
    "Use only `keras.ops`. A framework's own functions often have other defaults: `torch.var` divides by n - 1, the "
    "gelu of torch is exact, paddings and roundings differ. Avoid branches on `keras.config.backend()`."
)


@check("LW1001", "backend-parity", requires=("LW102", "LW901"), exempt={"stateful": True}, across_backends=True)
def backend_parity(first: Observation, second: Observation) -> Finding:
    """With equal weights and inputs, the layer computes the same on every backend.

    What it proves:
        The weights of the layer have the same paths and shapes on every backend. With equal weights and inputs, the
        outputs in inference and training mode, the gradients with respect to weights and inputs, and the losses are
        equal, up to float32 rounding.

    Why it matters:
        A model may be trained on one backend and served on another. Ordinary tests do not notice a layer that runs on
        every backend but computes different results, because each test process uses only one backend.

    How it is tested:
        Each backend runs in its own process. On the first backend, weights are moved off their initial values. They are
        then copied to the layer on the other backends. Outputs may differ by 1e-4 of the largest value, gradients by
        1e-3. Outputs that depend on random numbers are left out.

    Exempt when:
        The layer declares `stateful=True`.

    References:
        keras.io, "Keras 3: portable layers"; pytorch.org, torch.var, "correction".
    """
    if [array.shape for array in first.arguments] != [array.shape for array in second.arguments]:
        return inconclusive(
            "different input shapes were inferred on the two backends", "Give the input shapes with `--input`."
        )
    measured: list[Difference] = []
    differences = [words for words in _describe_differences(first, second, measured) if words]
    largest = sorted(measured, key=lambda each: -each["difference"] / each["allowed"])[:MOST_SHOWN]
    if differences:
        return failed("; ".join(differences[:4]), FIX, differences=largest)
    return passed(differences=largest)


def observe(trial: Trial, first: Observation | None) -> Observation:
    """Compute everything that is compared, with the weights of the first backend."""
    layer = layer_with(trial, None if first is None else first.weights)
    training = outputs_unless_random(trial, layer, training=True)
    losses = _added_losses(trial, layer) if training is not None else ()
    found = None
    if training is not None and trial.case.traits.smooth:
        found = gradients(trial, layer, trial.usual, training=True)
    by_name = None
    if found is not None:
        inputs = zip((name for name, _ in trial.usual.named_arrays()), found.inputs, strict=True)
        weights = ((attribute_path(layer, weight), found.weights[weight.path]) for weight in layer.trainable_variables)
        by_name = (*weights, *inputs)
    return Observation(
        tuple(trial.usual.arrays()),
        weights_of(layer),
        outputs_unless_random(trial, layer, training=False),
        training,
        by_name,
        losses,
    )


def _added_losses(trial: Trial, layer: Any) -> tuple[float, ...]:
    import keras

    trial.call(layer, trial.usual, training=True)
    return tuple(float(keras.ops.convert_to_numpy(loss)) for loss in layer.losses)


def _describe_differences(first: Observation, second: Observation, measured: list[Difference]) -> Iterator[str]:
    """Describe what differs, and add the difference of each output and gradient to `measured`."""
    yield _describe_output_difference(first.outputs, second.outputs, "in inference mode", measured)
    yield _describe_output_difference(first.training, second.training, "in training mode", measured)
    if first.training is None or second.training is None:
        return  # random on one of them, which then has neither losses nor gradients to compare
    if len(first.losses) != len(second.losses):
        yield f"the layer adds {len(second.losses)} losses; expected {len(first.losses)}"
    elif not np.allclose(first.losses, second.losses, rtol=OUTPUTS, atol=OUTPUTS):
        yield f"the added losses are {second.losses}; expected {first.losses}"
    for (name, ours), (_, theirs) in zip(first.gradients or (), second.gradients or (), strict=True):
        if ours is None and theirs is None:
            continue
        difference = relative_difference(_gradient_or_zeros(ours, theirs), _gradient_or_zeros(theirs, ours))
        label = f"gradient with respect to {name}"
        measured.append({"name": label, "difference": difference, "allowed": GRADIENTS})
        if difference > GRADIENTS:
            words = f"the {label} differs by {difference:.3g}, relative to the largest value"
            yield f"{words}; expected at most {GRADIENTS:g}"


def _describe_output_difference(
    first: Sequence[Array] | None, second: Sequence[Array] | None, when: str, measured: list[Difference]
) -> str:
    if first is None or second is None:
        return ""
    expected, found = ([f"{_comparable_dtype(array)} {array.shape}" for array in each] for each in (first, second))
    if expected != found:
        return f"the outputs {when} are {', '.join(found)}; expected {', '.join(expected)}"
    differences = list(map(relative_difference, first, second))
    measured += [
        {"name": f"output {place} {when}", "difference": each, "allowed": OUTPUTS}
        for place, each in enumerate(differences)
    ]
    difference = max(differences, default=0.0)
    if difference <= OUTPUTS:
        return ""
    return f"outputs {when} differ by {difference:.3g}, relative to the largest value; expected at most {OUTPUTS:g}"


def _comparable_dtype(array: Array) -> str:
    """Return the dtype, but the same text for all integer dtypes, because JAX has no 64-bit integers."""
    return str(array.dtype) if array.dtype.kind not in "iu" else "integer"


def _gradient_or_zeros(gradient: Array | None, other: Array | None) -> Array:
    """Return a gradient, or zeros if there is none. JAX returns zeros where other backends return None."""
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
