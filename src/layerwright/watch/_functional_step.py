"""The watched training step on JAX, where a step assigns nothing.

The statistics travel with the state through Keras's stateless functions, and leave it at the end of the step.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import jax
import jax.numpy as jnp
import keras
from keras import ops

from layerwright.backends.interception import intercepted, shadowed
from layerwright.watch import statistic_names
from layerwright.watch.forward import ForwardPass, bundle_vectors, first_rows, layer_path, stack_rows, units_axis
from layerwright.watch.request import WatchRequest
from layerwright.watch.statistics import statistics_row
from layerwright.watch.weights import update_ratios, weight_rows

SPARE_SLOTS = 64
"""Gradient slots beyond two for each layer, for layers with many calls or many outputs."""


class FunctionalStep:
    """Makes `train_step` also return the statistics of the step.

    `jax.value_and_grad` returns gradients of arguments only. So each watched activation gets a *slot*: an argument of
    zeros whose gradient is, by a custom rule, the statistics of the activation's gradient. The slots are appended to
    the trainable variables, and removed before the optimizer gets the gradients.

    Raises:
        ValueError: If activation gradients are requested for a model that overrides `train_step`. Such a model would
            take the slots for weights.
    """

    def __init__(self, model: Any, request: WatchRequest) -> None:
        if request.activation_gradients and type(model).train_step is not keras.Model.train_step:
            raise ValueError(
                "Watch: on JAX, gradients=('activation',) needs Keras's own train_step, but "
                f"{type(model).__name__} overrides it; remove 'activation' from gradients."
            )
        self._model = model
        self._request = request
        self._slots = 2 * len(request.layers) + SPARE_SLOTS if request.activation_gradients else 0
        self._gradient_names: list[str] = []
        self._statistics: dict[str, Any] = {}
        self.skipped: dict[str, str] = {}

    @contextmanager
    def installed(self) -> Iterator[None]:
        """Within this context, the model's training step also returns statistics."""
        model = self._model
        owners = [
            (model, "train_step", self._train_step),
            (model, "stateless_call", self._stateless_call),
            (model, "stateless_compute_loss", self._stateless_compute_loss),
            (model.optimizer, "stateless_apply", self._stateless_apply),
        ]
        if hasattr(model, "_enforce_jax_state_sharding"):  # Keras before 3.12 passes the state through it
            owners.append((model, "_enforce_jax_state_sharding", self._enforce_sharding))
        with ExitStack() as stack:
            for owner, name, make in owners:
                stack.enter_context(shadowed(owner, name, make(getattr(owner, name))))
            yield

    def _train_step(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def train_step(state: Any, data: Any) -> Any:
            trainable, others, optimizer, metrics = state
            self._statistics = {}
            width = len(statistic_names.row_columns()) + self._request.bins
            slots = [jnp.zeros(width)] * self._slots
            logs, state = original(([*trainable, *slots], others, optimizer, metrics), data)
            trainable, others, optimizer, metrics = state
            others, appended = self._split_appended(others, self._model.non_trainable_variables)
            for each in appended:
                self._statistics.update(each)
            return {"logs": logs, "statistics": self._statistics}, (trainable, others, optimizer, metrics)

        return train_step

    def _stateless_call(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def stateless_call(trainable: Any, others: Any, *args: Any, **kwargs: Any) -> Any:
            trainable, slots = self._split_appended(trainable, self._model.trainable_variables)
            others, appended = self._split_appended(others, self._model.non_trainable_variables)
            forward = ForwardPass(self._request, self._gradient_tap(slots) if slots else None)
            with intercepted(self._request.layers, forward.collect):
                outputs, others, *losses = original(trainable, others, *args, **kwargs)
            self.skipped.update(forward.skipped_layers())
            found = {"activation": stack_rows(forward.rows()), "means": bundle_vectors(forward.feature_means())}
            return outputs, [*others, *appended, found], *losses

        return stateless_call

    def _stateless_compute_loss(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def stateless_compute_loss(trainable: Any, others: Any, *args: Any, **kwargs: Any) -> Any:
            trainable, _ = self._split_appended(trainable, self._model.trainable_variables)
            others, appended = self._split_appended(others, self._model.non_trainable_variables)
            loss, (trainable, others, metrics) = original(trainable, others, *args, **kwargs)
            return loss, (trainable, [*others, *appended], metrics)

        return stateless_compute_loss

    def _enforce_sharding(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def enforce_sharding(trainable: Any, others: Any, *args: Any) -> Any:
            others, appended = self._split_appended(others, self._model.non_trainable_variables)
            trainable, others, *rest = original(trainable, others, *args)
            return trainable, [*others, *appended], *rest

        return enforce_sharding

    def _stateless_apply(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def stateless_apply(optimizer_variables: Any, grads: Any, trainable_variables: Any) -> Any:
            variables = self._model.trainable_variables
            gradients, slots = self._split_appended(grads, variables)
            values, _ = self._split_appended(trainable_variables, variables)
            loss_scale = self._loss_scale(optimizer_variables)
            if slots:
                rows = dict(zip(self._gradient_names, slots, strict=False))
                self._statistics["activation_gradient"] = stack_rows(
                    {name: _divide_row(row, loss_scale) for name, row in rows.items()}
                )
            results = original(optimizer_variables, gradients, values)
            if self._request.weights:
                weights, gradient_rows = weight_rows(self._request, variables, values, gradients, loss_scale)
                self._statistics["weight"] = stack_rows(weights)
                self._statistics["weight_gradient"] = stack_rows(gradient_rows)
                self._statistics["update_ratio"] = stack_rows(update_ratios(variables, values, results[0]))
            return results

        return stateless_apply

    def _gradient_tap(self, slots: Sequence[Any]) -> Callable[[str, Any], Any]:
        self._gradient_names = []
        free_slots = iter(slots)

        def tap(name: str, x: Any) -> Any:
            slot = next(free_slots, None)
            if slot is None or not jnp.issubdtype(x.dtype, jnp.floating):
                return x
            self._gradient_names.append(name)
            axis = units_axis(self._request.layers[layer_path(name)])
            return _identity_with_gradient_slot(self._request, axis)(x, slot)

        return tap

    def _loss_scale(self, optimizer_variables: Sequence[Any]) -> Any:
        optimizer = self._model.optimizer
        mapping = list(zip(optimizer.variables, optimizer_variables, strict=True))
        with keras.StatelessScope(state_mapping=mapping):
            return optimizer.scale_loss(ops.ones(()))

    @staticmethod
    def _split_appended(values: Sequence[Any], variables: Sequence[Any]) -> tuple[list[Any], list[Any]]:
        """Return the values of the variables, and the values that were appended to them."""
        return list(values[: len(variables)]), list(values[len(variables) :])


def _identity_with_gradient_slot(request: WatchRequest, axis: int) -> Callable[[Any, Any], Any]:
    """Return a function `(x, slot) -> x`. The gradient of `slot` is the row of statistics of the gradient of `x`."""

    def forward(x: Any, slot: Any) -> Any:  # noqa: ARG001 - the slot exists only for its gradient
        return x

    def backward(_: None, gradient: Any) -> tuple[Any, Any]:
        return gradient, statistics_row(first_rows(gradient, request.max_elements), request.bins, axis)

    identity: Any = jax.custom_vjp(forward)
    identity.defvjp(lambda x, slot: (x, None), backward)  # noqa: ARG005
    tapped: Callable[[Any, Any], Any] = identity
    return tapped


def _divide_row(row: Any, scale: Any) -> Any:
    """Return the row of statistics of x / scale, from the row of x."""
    columns = [statistic for statistic in statistic_names.STATISTICS if statistic.in_row]
    scales = jnp.array([statistic.scales for statistic in columns])
    factors = jnp.where(scales, 1.0 / scale, 1.0)
    return row * jnp.concatenate([factors, jnp.ones(len(row) - len(columns))])
