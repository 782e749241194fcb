"""Follow a model's layers in the order in which they finish, and name the first at which a property breaks.

A check that applies to models names one of `QUESTIONS`; where it fails, the answer completes its message.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import wraps
from typing import Any

import numpy as np

from layerwright.core.finding import BAD_OUTCOMES, Finding, Outcome
from layerwright.trial.arguments import Arguments, Array
from layerwright.trial.compare import leaves, relative_difference
from layerwright.trial.paths import layers_of
from layerwright.trial.policies import LOW_PRECISION_POLICIES, version
from layerwright.trial.subject import lively
from layerwright.trial.trial import Trial, copy_weights, restore, snapshot

STRAYED = 0.1
"""How far from float32 an intermediate output in half precision may be, relative to its largest value."""


@dataclass(frozen=True, eq=False)
class Step:
    """One call of a layer in a model.

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
    """Call a model and return what each layer in it computes, in the order in which they finish: inner before outer.

    The call starts from the usual seeds and state, which is restored afterwards. Layers inside Keras's own layers, and
    those that run in a loop of the backend, are left out.

    Raises:
        RaisedAt: If a layer raises.
    """
    import keras

    keras.utils.set_random_seed(trial.seed)
    before = snapshot(model.variables)
    tensors = arguments.map(lambda array: keras.ops.convert_to_tensor(array.copy()))
    steps: list[Step] = []
    failing: list[str] = []
    try:
        with trial.backend.inference(), _recording(model, steps, failing):
            model(tensors.inputs, **{**tensors.call, "training": training})
    except Exception as error:
        raise RaisedAt(failing[0] if failing else model.name) from error
    finally:
        restore(before)
    return steps


@contextmanager
def _recording(model: Any, steps: list[Step], failing: list[str]) -> Iterator[None]:
    """Note each call of a layer of the model in the block, and where one raises."""
    import keras

    paths = {id(layer): path for layer, path in layers_of(model)}

    def recorded(call: Callable[..., Any], of_layers: bool) -> Callable[..., Any]:
        @wraps(call)
        def calling(self: Any, *args: Any, **kwargs: Any) -> Any:
            is_layer = isinstance(self, keras.layers.Layer)  # whose call goes on to that of Operation
            path = None if is_layer != of_layers else paths.get(id(self)) if is_layer else self.name
            try:
                outputs = call(self, *args, **kwargs)
            except Exception:
                if path is not None and not failing:
                    failing.append(path)
                raise
            if path is not None:
                masked = any(_mask_of(tensor) is not None for tensor in keras.tree.flatten((args, kwargs)))
                with suppress(Exception):  # in a loop of the backend, tensors have no values
                    steps.append(Step(path, self, masked, *_as_arrays(outputs)))
            return outputs

        return calling

    kinds = (keras.layers.Layer, keras.Operation)
    calls = [kind.__call__ for kind in kinds]
    for kind, call in zip(kinds, calls, strict=True):
        kind.__call__ = recorded(call, kind is keras.layers.Layer)
    try:
        yield
    finally:
        for kind, call in zip(kinds, calls, strict=True):
            kind.__call__ = call


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
        for before, after in zip(steps, walk(trial, model, changed, training=training), strict=False):
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
        pairs = list(zip(exact, walk(trial, found.layer, trial.usual), strict=False))
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


def where_a_config_breaks(trial: Trial) -> str:
    """Say which layer its own config does not rebuild."""
    for layer, path in layers_of(lively(trial)):
        # A layer's own get_config and from_config may raise anything.
        try:
            config = layer.get_config()
            again = type(layer).from_config(config).get_config()
        except Exception:
            return f"`{path}` cannot be rebuilt from its config"
        if again != config:
            return f"the config of `{path}` rebuilds another layer"
    return ""


def _counts_finite(step: Step) -> int:
    return sum(
        int(np.isfinite(np.asarray(array, "float32")).sum()) for array in step.outputs if array.dtype.kind != "b"
    )


QUESTIONS: dict[str, Callable[[Trial], str]] = {
    "call": where_a_call_raises,
    "samples": where_samples_meet,
    "samples in training": where_samples_meet_in_training,
    "config": where_a_config_breaks,
    "precision": where_precision_is_lost,
}
