"""A training step on TensorFlow and torch, where the optimizer assigns."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import keras
from keras import ops

from layerwright.backends.interception import intercepted, shadowed
from layerwright.watch.forward import Forward, bundled, first_rows, packed, units_axis
from layerwright.watch.plan import Plan
from layerwright.watch.statistics import row
from layerwright.watch.weights import update_ratios, weight_rows

KERAS_KEEPS = ("_keras_logits", "_keras_mask")
"""What Keras keeps on a tensor: cross-entropy is computed from the logits of a softmax, past its output."""


class StatefulStep:
    """Makes `train_step` return what was seen in it."""

    def __init__(self, model: Any, plan: Plan) -> None:
        self._model = model
        self._plan = plan
        self._gradients: dict[str, Any] = {}
        self._seen: dict[str, Any] = {}
        self.skipped: dict[str, str] = {}

    @contextmanager
    def installed(self) -> Iterator[None]:
        """While open, the model's training step is the one that sees."""
        model, optimizer = self._model, self._model.optimizer
        with ExitStack() as stack:
            stack.enter_context(shadowed(model, "train_step", self._train_step(model.train_step)))
            if self._plan.weights:
                stack.enter_context(shadowed(optimizer, "apply", self._apply(optimizer.apply)))
            yield

    def _train_step(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def train_step(data: Any) -> Any:
            self._gradients, self._seen = {}, {}
            forward = Forward(self._plan, self._tap if self._plan.activation_gradients else None)
            with intercepted(self._plan.layers, forward.see):
                logs = original(data)
            self.skipped.update(forward.skipped())
            self._seen |= {
                "activation": packed(forward.rows()),
                "means": bundled(forward.means()),
                "activation_gradient": packed(self._gradients),
            }
            return {"logs": logs, "seen": self._seen}

        return train_step

    def _apply(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def apply(grads: Any, trainable_variables: Any = None) -> Any:
            grads = list(grads)
            variables = list(trainable_variables or self._model.trainable_variables)
            before = [ops.copy(variable.value) for variable in variables]
            weights, gradients = weight_rows(self._plan, variables, before, grads, self._loss_scale())
            result = original(grads, trainable_variables)
            after = [ops.convert_to_tensor(variable) for variable in variables]
            self._seen["weight"], self._seen["weight_gradient"] = packed(weights), packed(gradients)
            self._seen["update_ratio"] = packed(update_ratios(variables, before, after))
            return result

        return apply

    def _tap(self, name: str, x: Any) -> Any:
        if not keras.backend.is_float_dtype(keras.backend.standardize_dtype(x.dtype)):
            return x
        axis = units_axis(self._plan.layers[name.partition("#")[0].partition(":")[0]])
        scale = self._loss_scale()

        def see(gradient: Any) -> None:
            part = first_rows(gradient, self._plan.max_elements)
            self._gradients[name] = row(ops.cast(part, "float32") / scale, self._plan.bins, axis)

        return _with_gradient_shown(x, see)

    def _loss_scale(self) -> Any:
        return self._model.optimizer.scale_loss(ops.ones(()))


def _with_gradient_shown(x: Any, see: Callable[[Any], None]) -> Any:
    """Return x; its gradient will be shown to `see`."""
    if keras.backend.backend() == "torch":
        import torch

        def shown(gradient: Any) -> None:
            with torch.no_grad():
                see(gradient)

        if x.requires_grad:
            x.register_hook(shown)
        return x
    import tensorflow as tf

    @tf.custom_gradient  # type: ignore[untyped-decorator]
    def identity(x: Any) -> Any:
        def backward(gradient: Any) -> Any:
            see(gradient)
            return gradient

        return tf.identity(x), backward

    same = identity(x)
    for name in KERAS_KEEPS:
        if hasattr(x, name):
            setattr(same, name, getattr(x, name))
    return same
