"""Walk the graph of a functional model in order, and name the first layer at which a property breaks.

A check that applies to models names one of `QUESTIONS`; where it fails, the answer completes its message.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from layerwright.core.finding import BAD_OUTCOMES, Finding, Outcome
from layerwright.trial.arguments import Arguments, Array
from layerwright.trial.compare import leaves, relative_difference
from layerwright.trial.policies import LOW_PRECISION_POLICIES, version
from layerwright.trial.subject import lively
from layerwright.trial.trial import Trial, copy_weights, restore, snapshot

STRAYED = 0.1
"""How far from float32 an intermediate output in half precision may be, relative to its largest value."""


@dataclass(frozen=True, eq=False)
class Step:
    """One call of a layer in the graph.

    Attributes:
        path: Where the layer is, such as `encoder/attention`.
        layer: The layer, or an operation of `keras.ops`.
        masked_inputs: Whether an input carries a mask.
        outputs: The output arrays.
        masks: The mask of each output, or None.
    """

    path: str
    layer: Any
    masked_inputs: bool
    outputs: list[Array]
    masks: list[Array | None]


class RaisedAt(Exception):  # noqa: N818 - caught where it is dealt with
    """A layer of a model raised; the message is its path, the cause what it raised."""


def walk(trial: Trial, model: Any, arguments: Arguments, *, training: bool = False) -> list[Step]:
    """Call the layers of a model one after another, from the usual seeds and state, which is restored afterwards.

    A model that is no graph of layers, such as a subclassed one, has no steps.

    Raises:
        RaisedAt: If a layer raises.
    """
    import keras

    if graph_of(model) is None:
        return []
    keras.utils.set_random_seed(trial.seed)
    before = snapshot(model.variables)
    tensors = [keras.ops.convert_to_tensor(array.copy()) for array in arguments.arrays()]
    steps: list[Step] = []
    try:
        with trial.backend.inference():
            _walk(model, tensors, training, "", steps)
    finally:
        restore(before)
    return steps


def graph_of(model: Any) -> Any:
    """Return the functional model behind a functional or sequential one; None if there is none."""
    found = getattr(model, "_functional", None) or model
    return found if hasattr(found, "_nodes_by_depth") else None


def _walk(model: Any, tensors: list[Any], training: bool, path: str, steps: list[Step]) -> list[Any]:
    """Add the steps of a model to `steps`, and return its outputs."""
    import keras

    graph = graph_of(model)
    known = dict(zip(map(id, graph.inputs), graph._convert_inputs_to_tensors(tensors), strict=True))
    for depth in sorted(graph._nodes_by_depth, reverse=True):
        for node in graph._nodes_by_depth[depth]:
            if not node.operation or node.is_input or any(id(each) not in known for each in node.input_tensors):
                continue
            args, kwargs = node.arguments.fill_in(known)
            layer, inside = node.operation, f"{path}{node.operation.name}"
            if graph_of(layer) is not None:
                outputs: Any = _walk(layer, _in_order(layer, args[0]), training, f"{inside}/", steps)
            else:
                options = {"training": training} if _takes_training(layer) else {}
                try:
                    outputs = layer(*args, **{**kwargs, **options})
                except Exception as error:
                    raise RaisedAt(inside) from error
                masked = any(_mask_of(tensor) is not None for tensor in keras.tree.flatten((args, kwargs)))
                steps.append(Step(inside, layer, masked, *_as_arrays(outputs)))
            known |= dict(zip(map(id, node.outputs), keras.tree.flatten(outputs), strict=True))
    return [known[id(output)] for output in graph.outputs]


def _in_order(model: Any, inputs: Any) -> list[Any]:
    """Return the tensors that an inner model is called with, in the order of its inputs."""
    import keras

    if isinstance(inputs, Mapping) and not isinstance(graph_of(model)._inputs_struct, Mapping):
        return [inputs[each.name] for each in graph_of(model).inputs]
    return list(keras.tree.flatten(inputs))


def _takes_training(layer: Any) -> bool:
    """Whether Keras hands `training` to a layer."""
    return bool(getattr(layer, "_call_has_training_arg", False)) or "training" in getattr(
        layer, "_call_context_args", {}
    )


def _mask_of(tensor: Any) -> Any:
    return getattr(tensor, "_keras_mask", None)


def _as_arrays(outputs: Any) -> tuple[list[Array], list[Array | None]]:
    flat = leaves(outputs)
    masks = map(_mask_of, flat)
    return [_to_numpy(each) for each in flat], [None if mask is None else _to_numpy(mask) for mask in masks]


def _to_numpy(tensor: Any) -> Array:
    import keras

    return np.asarray(keras.ops.convert_to_numpy(tensor))


def completed(trial: Trial, question: str, finding: Finding) -> Finding:
    """Return a failed finding on a model with the layer at which the property breaks, where that can be told."""
    if finding.outcome not in BAD_OUTCOMES | {Outcome.WARNED}:
        return finding
    # The model may raise anything. The finding stands without the layer.
    try:
        said = QUESTIONS[question](trial)
    except Exception:
        return finding
    return replace(finding, message=f"{finding.message}; {said}") if said else finding


def where_samples_meet(trial: Trial, *, training: bool = False) -> str:
    """Say in which layer a sample first changes with another one."""
    usual, other = trial.usual, trial.arguments(seed=1)
    model, batch = lively(trial), trial.batch
    steps = walk(trial, model, usual, training=training)
    for sample in range(batch):
        rest = np.arange(batch) != sample
        changed = usual.replace_arrays(
            [
                np.where(rest.reshape(-1, *[1] * (old.ndim - 1)), old, new)
                for old, new in zip(usual.arrays(), other.arrays(), strict=True)
            ]
        )
        for before, after in zip(steps, walk(trial, model, changed, training=training), strict=True):
            for a, b in zip(before.outputs, after.outputs, strict=True):
                if a.ndim and len(a) == batch and not np.array_equal(a[rest], b[rest], equal_nan=a.dtype.kind == "f"):
                    return f"samples first meet in `{before.path}`"
    return ""


def where_samples_meet_in_training(trial: Trial) -> str:
    """Say in which layer a sample first changes with another one in training mode."""
    return where_samples_meet(trial, training=True)


def where_a_call_raises(trial: Trial) -> str:
    """Say which layer raises."""
    try:
        walk(trial, trial.construct(), trial.usual)
    except RaisedAt as raised:
        return f"`{raised}` raises it"
    return ""


def where_precision_is_lost(trial: Trial) -> str:
    """Say in which layer half precision first gives NaN or infinity, or strays from float32."""
    exact = walk(trial, lively(trial), trial.usual)
    for policy in LOW_PRECISION_POLICIES:
        found = version(trial, policy)
        if isinstance(found, str):
            continue
        copy_weights(lively(trial), found.layer)
        pairs = list(zip(exact, walk(trial, found.layer, trial.usual), strict=True))
        for before, after in pairs:
            if _counts_finite(before) > _counts_finite(after):
                return f"under {policy}, not finite from `{before.path}` on"
        for before, after in pairs:
            if any(
                a.dtype.kind == "f" and relative_difference(a, np.asarray(b, "float32")) > STRAYED
                for a, b in zip(before.outputs, after.outputs, strict=True)
            ):
                return f"under {policy}, it strays from float32 from `{before.path}` on"
    return ""


def _counts_finite(step: Step) -> int:
    return sum(
        int(np.isfinite(np.asarray(array, "float32")).sum()) for array in step.outputs if array.dtype.kind != "b"
    )


QUESTIONS: dict[str, Callable[[Trial], str]] = {
    "call": where_a_call_raises,
    "samples": where_samples_meet,
    "samples in training": where_samples_meet_in_training,
    "precision": where_precision_is_lost,
}
