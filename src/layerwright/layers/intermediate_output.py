"""`IntermediateOutput`: wraps a layer and adds a loss on its outputs."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np
from keras import ops, tree

from layerwright.core.case import InputSpec, case, declared_cases
from layerwright.layers._functions import accepts_argument, resolve_function, serialize_function
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
    """Apply a layer and add a loss on its outputs.

        y = f(x),  loss: weight · mean(loss(y))

    The mean covers all values that the loss function returns for the unmasked steps of y. With `return_inputs`, the
    layer returns x unchanged. It then adds an auxiliary classifier or a penalty without changing the path through the
    model, also in a `keras.Sequential`. For a loss that needs targets, use `tap`.

    A simple implementation stores y in an attribute and computes the loss later. After tracing, this attribute holds a
    tensor of another graph. Other implementations do not build or serialize the inner layer, so its weights are not
    saved.

    Args:
        layer: f, a Keras layer or model.
        loss: A function of y that returns one number, or numbers for each sample and step. It may be a function of
            `keras.ops` or its name, a regularizer, or a function registered with
            `keras.saving.register_keras_serializable`; None for no loss. If it has an argument `mask`, it receives the
            mask of y, and must exclude masked steps itself.
        weight: The factor of the loss.
        return_inputs: Whether to return x instead of y.
        **kwargs: Arguments of every Keras layer, such as `name` and `dtype`.

    Call arguments:
        inputs: The inputs of f.
        mask: The mask of the inputs. By default, the mask attached to the inputs.

    Output: y with the mask that f computes for it, or x with its own mask.

    Raises:
        ValueError: If `layer` is not a layer, `loss` is not callable, or `weight` is not a finite number. From a call,
            if y has a mask, but the loss function has no argument `mask` and its result does not keep the mask's axes,
            because padding would then count.

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
        """Add the loss, and return the outputs or the inputs."""
        options = {"mask": mask, "training": training}
        accepted = {
            name: value
            for name, value in options.items()
            if value is not None and accepts_argument(self.layer.call, name)
        }
        outputs = self.layer(inputs, **accepted)
        if self.loss is not None:
            self.add_loss(self.weight * self._mean_loss(outputs, self._mask_of_outputs(inputs, mask)))
        return inputs if self.return_inputs else outputs

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        """Return the mask of the returned tensor."""
        return previous_mask if self.return_inputs else self._mask_of_outputs(inputs, previous_mask)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        loss = serialize_function(self.loss)
        return {**super().get_config(), "loss": loss, "weight": self.weight, "return_inputs": self.return_inputs}

    @classmethod
    def from_config(cls, config: Mapping[str, Any], custom_objects: Any = None) -> "IntermediateOutput":
        """Create the layer from the result of `get_config`."""
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
                f"{tuple(losses.shape)}), because padding would count otherwise; return one number for each step, or "
                "give the loss function an argument `mask`."
            )
        valid = ops.broadcast_to(broadcast_mask("IntermediateOutput", mask, losses), ops.shape(losses))
        counted = ops.sum(ops.cast(valid, losses.dtype))
        return ops.sum(ops.where(valid, losses, 0.0)) / ops.maximum(counted, 1.0)


def _in_full_precision(losses: Any) -> Any:
    losses = ops.convert_to_tensor(losses)
    return ops.cast(losses, at_least_float32(keras.backend.standardize_dtype(losses.dtype)))


def reference(losses: Any, mask: Any = None, *, weight: float = 1.0) -> Any:
    """Return the loss that the layer adds, in float64 NumPy, from the result of the loss function."""
    losses = np.asarray(losses, "float64")
    if mask is None:
        return weight * losses.mean()
    valid = np.broadcast_to(np.reshape(mask, np.shape(mask) + (1,) * (losses.ndim - np.ndim(mask))), losses.shape)
    return weight * losses[valid].sum() / max(valid.sum(), 1)


CASES = declared_cases(IntermediateOutput)

IntermediateOutputLayer = IntermediateOutput
"""The name that articles on custom Keras layers use."""

__all__ = ["IntermediateOutput", "IntermediateOutputLayer"]
