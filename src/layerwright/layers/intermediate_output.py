"""`IntermediateOutput`: a loss on what an inner layer returns; `tap`: a model that returns it."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np
from keras import ops, tree

from layerwright.core.case import InputSpec, case, declared_cases
from layerwright.layers._functions import serialize_function, resolve_function, accepts_argument
from layerwright.layers._masks import broadcast_mask
from layerwright.layers._precision import at_least_float32

OTHERS = {"layer": [keras.layers.Dense(4, use_bias=False)], "loss": [ops.abs]}


@case(init={"layer": keras.layers.Dense(3), "loss": ops.square}, inputs=(None, 5), others=OTHERS)
@case(
    init={"layer": keras.layers.Dense(5), "loss": ops.square, "weight": 0.5, "return_inputs": True},
    inputs=(None, 6, 5),
    call={"mask": InputSpec((None, 6), "bool")},
    others=OTHERS,
)
@keras.saving.register_keras_serializable(package="layerwright")
class IntermediateOutput(keras.layers.Wrapper):
    """Apply a layer, and add a loss on what it returns.

        y = f(x),  loss: weight · mean(loss(y))

    The mean is over every number that the loss function returns, for the steps that the mask of y leaves. With
    `return_inputs` the layer gives x on, unchanged: it then hangs beside the path through the model, as an auxiliary
    classifier or a penalty does, in a `keras.Sequential` too. For a loss that needs targets, see `tap`.

    The naive version keeps the tensor as an attribute for a loss to pick up, which after tracing is a tensor of
    another graph; or does not build and serialise the layer within, whose weights are then not saved.

    Args:
        layer: f, a Keras layer or model.
        loss: A function of y to a number, or to numbers for each sample and step: one of `keras.ops` or its name, a
            regulariser, or one registered with `keras.saving.register_keras_serializable`; None for none. If it has
            an argument `mask`, it is given the mask of y, and leaves out by itself what does not count.
        weight: The factor before the loss.
        return_inputs: Whether to return x instead of y.
        **kwargs: Those of every Keras layer, such as `name` and `dtype`.

    Call arguments:
        inputs: What f takes.
        mask: What f takes; by default the mask that travels with the inputs.

    Output: y with the mask that f gives it, or x with its own.

    Raises:
        ValueError: If `layer` is no layer, `loss` cannot be called, `weight` is no finite number; or if y has a mask
            and the loss function returns one number without having seen it: padding would count.

    Example:
        >>> import keras
        >>> import numpy as np
        >>> from layerwright.layers import IntermediateOutput
        >>> layer = IntermediateOutput(keras.layers.Rescaling(2.0), loss="abs", weight=0.1)
        >>> outputs = layer(np.array([[1.0, -3.0]]))
        >>> print(outputs.shape[1], round(float(layer.losses[0]), 3))
        2 0.4
    """

    def __init__(
        self,
        layer: keras.layers.Layer,
        loss: Callable[..., Any] | str | None = None,
        weight: float = 1.0,
        return_inputs: bool = False,
        **kwargs: Any,
    ) -> None:
        if not isinstance(layer, keras.layers.Layer):
            raise ValueError(f"IntermediateOutput: layer must be a Keras layer (got {layer!r}).")
        if not isinstance(weight, (int, float)) or not math.isfinite(weight):
            raise ValueError(f"IntermediateOutput: weight must be a finite number (got {weight!r}).")
        super().__init__(layer, **kwargs)
        self.loss: Any = loss if loss is None else resolve_function("IntermediateOutput", "loss", loss)
        self.weight = weight
        self.return_inputs = return_inputs
        self.supports_masking = True

    def call(self, inputs: Any, mask: Any = None, training: bool | None = None) -> Any:
        """Return the outputs or the inputs, having added the loss."""
        options = {"mask": mask, "training": training}
        given = {name: value for name, value in options.items() if value is not None and accepts_argument(self.layer.call, name)}
        outputs = self.layer(inputs, **given)
        if self.loss is not None:
            self.add_loss(self.weight * self._mean_loss(outputs, self._mask_of_outputs(inputs, mask)))
        return inputs if self.return_inputs else outputs

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        """Return the mask of what is returned."""
        return previous_mask if self.return_inputs else self._mask_of_outputs(inputs, previous_mask)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        loss = serialize_function(self.loss)
        return {**super().get_config(), "loss": loss, "weight": self.weight, "return_inputs": self.return_inputs}

    @classmethod
    def from_config(cls, config: Mapping[str, Any], custom_objects: Any = None) -> "IntermediateOutput":
        """Make the layer from what `get_config` returned."""
        own = {
            name: keras.saving.deserialize_keras_object(config[name], custom_objects=custom_objects)
            for name in ("layer", "loss")
        }
        return cls(**{**config, **own})

    def _mask_of_outputs(self, inputs: Any, mask: Any) -> Any:
        return self.layer.compute_mask(inputs, mask) if self.layer.supports_masking else None

    def _mean_loss(self, outputs: Any, mask: Any) -> Any:
        if all(part is None for part in tree.flatten(mask)):
            return ops.mean(_in_full_precision(self.loss(outputs)))
        if accepts_argument(self.loss, "mask"):
            return ops.mean(_in_full_precision(self.loss(outputs, mask=mask)))
        losses = _in_full_precision(self.loss(outputs))
        if tree.is_nested(mask) or len(losses.shape) < len(mask.shape):
            raise ValueError(
                f"IntermediateOutput: the loss of masked outputs must keep the mask's axes (got shape "
                f"{tuple(losses.shape)}), or padding counts; return a number for each step, or let the loss function "
                "take an argument `mask`."
            )
        valid = ops.broadcast_to(broadcast_mask("IntermediateOutput", mask, losses), ops.shape(losses))
        counted = ops.sum(ops.cast(valid, losses.dtype))
        return ops.sum(ops.where(valid, losses, 0.0)) / ops.maximum(counted, 1.0)


def _in_full_precision(losses: Any) -> Any:
    losses = ops.convert_to_tensor(losses)
    return ops.cast(losses, at_least_float32(keras.backend.standardize_dtype(losses.dtype)))


def reference(losses: Any, mask: Any = None, *, weight: float = 1.0) -> Any:
    """The loss that is added, in float64 NumPy, from what the loss function returns."""
    losses = np.asarray(losses, "float64")
    if mask is None:
        return weight * losses.mean()
    valid = np.broadcast_to(np.reshape(mask, np.shape(mask) + (1,) * (losses.ndim - np.ndim(mask))), losses.shape)
    return weight * losses[valid].sum() / max(valid.sum(), 1)


CASES = declared_cases(IntermediateOutput)
