"""The watched training step on TensorFlow and torch, where the optimizer assigns the weights."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import keras
from keras import ops

from layerwright.backends.interception import intercepted, shadowed
from layerwright.watch.forward import ForwardPass, bundle_vectors, first_rows, layer_path, stack_rows, units_axis
from layerwright.watch.request import WatchRequest
from layerwright.watch.statistics import statistics_row
from layerwright.watch.weights import update_ratios, weight_rows

KERAS_TENSOR_ATTRIBUTES = ("_keras_logits", "_keras_mask")
"""What Keras attaches to a tensor. The logits matter: Keras computes cross-entropy from them, not from the softmax."""


class StatefulStep:
    """Makes `train_step` also return the statistics of the step."""

    def __init__(self, model: Any, request: WatchRequest) -> None:
        self._model = model
        self._request = request
        self._gradients: dict[str, Any] = {}
        self._statistics: dict[str, Any] = {}
        self.skipped: dict[str, str] = {}

    @contextmanager
    def installed(self) -> Iterator[None]:
        """Within this context, the model's training step also returns statistics."""
        model, optimizer = self._model, self._model.optimizer
        with ExitStack() as stack:
            stack.enter_context(shadowed(model, "train_step", self._train_step(model.train_step)))
            if self._request.weights:
                stack.enter_context(shadowed(optimizer, "apply", self._apply(optimizer.apply)))
            yield

    def _train_step(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def train_step(data: Any) -> Any:
            self._gradients, self._statistics = {}, {}
            tap = self._record_gradient if self._request.activation_gradients else None
            forward = ForwardPass(self._request, tap)
            with intercepted(self._request.layers, forward.collect):
                logs = original(data)
            self.skipped.update(forward.skipped_layers())
            self._statistics |= {
                "activation": stack_rows(forward.rows()),
                "means": bundle_vectors(forward.feature_means()),
                "activation_gradient": stack_rows(self._gradients),
            }
            return {"logs": logs, "statistics": self._statistics}

        return train_step

    def _apply(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def apply(grads: Any, trainable_variables: Any = None) -> Any:
            grads = list(grads)
            variables = list(trainable_variables or self._model.trainable_variables)
            before = [ops.copy(variable.value) for variable in variables]
            weights, gradient_rows = weight_rows(self._request, variables, before, grads, self._loss_scale())
            result = original(grads, trainable_variables)
            after = [ops.convert_to_tensor(variable) for variable in variables]
            self._statistics["weight"] = stack_rows(weights)
            self._statistics["weight_gradient"] = stack_rows(gradient_rows)
            self._statistics["update_ratio"] = stack_rows(update_ratios(variables, before, after))
            return result

        return apply

    def _record_gradient(self, name: str, x: Any) -> Any:
        """Return x; record the statistics of its gradient when the backward pass computes it."""
        if not keras.backend.is_float_dtype(keras.backend.standardize_dtype(x.dtype)):
            return x
        axis = units_axis(self._request.layers[layer_path(name)])
        loss_scale = self._loss_scale()

        def record(gradient: Any) -> None:
            part = first_rows(gradient, self._request.max_elements)
            self._gradients[name] = statistics_row(ops.cast(part, "float32") / loss_scale, self._request.bins, axis)

        return _with_gradient_callback(x, record)

    def _loss_scale(self) -> Any:
        return self._model.optimizer.scale_loss(ops.ones(()))


def _with_gradient_callback(x: Any, callback: Callable[[Any], None]) -> Any:
    """Return x; the backward pass will call `callback` with its gradient."""
    if keras.backend.backend() == "torch":
        import torch

        def hook(gradient: Any) -> None:
            with torch.no_grad():
                callback(gradient)

        if x.requires_grad:
            x.register_hook(hook)
        return x
    import tensorflow as tf

    @tf.custom_gradient  # type: ignore[untyped-decorator]
    def identity(x: Any) -> Any:
        def backward(gradient: Any) -> Any:
            callback(gradient)
            return gradient

        return tf.identity(x), backward

    same = identity(x)
    for name in KERAS_TENSOR_ATTRIBUTES:
        if hasattr(x, name):
            setattr(same, name, getattr(x, name))
    return same
