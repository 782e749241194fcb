"""A training step on JAX, where nothing is assigned: what was seen travels with the state, and leaves it at the end."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import jax
import jax.numpy as jnp
import keras
from keras import ops

from layerwright.backends.interception import intercepted, shadowed
from layerwright.watch.forward import Forward, bundled, first_rows, packed, units_axis
from layerwright.watch.plan import Plan
from layerwright.watch.statistics import COLUMNS, row
from layerwright.watch.weights import update_ratios, weight_rows

SPARE = 64
"""How many more gradients can be seen than twice the layers: for layers called often and outputs beyond the first."""


class FunctionalStep:
    """Makes `train_step` return what was seen in it.

    The gradient of an activation leaves `jax.value_and_grad` as the gradient by an argument of zeros, a *slot*, which
    is added behind the trainable variables and taken away before the optimizer sees it.

    Raises:
        ValueError: If such gradients are wanted of a model with a `train_step` of its own, which would meet the slots.
    """

    def __init__(self, model: Any, plan: Plan) -> None:
        if plan.activation_gradients and type(model).train_step is not keras.Model.train_step:
            raise ValueError(
                f"Watch: on JAX gradients=('activation',) needs Keras's own train_step, and {type(model).__name__} has "
                "another, to which the gradients would look like some of weights; leave 'activation' out."
            )
        self._model = model
        self._plan = plan
        self._slots = 2 * len(plan.layers) + SPARE if plan.activation_gradients else 0
        self._gradient_names: list[str] = []
        self._seen: dict[str, Any] = {}
        self.skipped: dict[str, str] = {}

    @contextmanager
    def installed(self) -> Iterator[None]:
        """While open, the model's training step is the one that sees."""
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
            self._seen = {}
            width = len(COLUMNS) + self._plan.bins
            slots = [jnp.zeros(width)] * self._slots
            logs, state = original(([*trainable, *slots], others, optimizer, metrics), data)
            trainable, others, optimizer, metrics = state
            others, seen = self._parted(others, self._model.non_trainable_variables)
            for each in seen:
                self._seen.update(each)
            return {"logs": logs, "seen": self._seen}, (trainable, others, optimizer, metrics)

        return train_step

    def _stateless_call(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def stateless_call(trainable: Any, others: Any, *args: Any, **kwargs: Any) -> Any:
            trainable, slots = self._parted(trainable, self._model.trainable_variables)
            others, seen = self._parted(others, self._model.non_trainable_variables)
            forward = Forward(self._plan, self._tap(slots) if slots else None)
            with intercepted(self._plan.layers, forward.see):
                outputs, others, *losses = original(trainable, others, *args, **kwargs)
            self.skipped.update(forward.skipped())
            found = {"activation": packed(forward.rows()), "means": bundled(forward.means())}
            return outputs, [*others, *seen, found], *losses

        return stateless_call

    def _stateless_compute_loss(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def stateless_compute_loss(trainable: Any, others: Any, *args: Any, **kwargs: Any) -> Any:
            trainable, _ = self._parted(trainable, self._model.trainable_variables)
            others, seen = self._parted(others, self._model.non_trainable_variables)
            loss, (trainable, others, metrics) = original(trainable, others, *args, **kwargs)
            return loss, (trainable, [*others, *seen], metrics)

        return stateless_compute_loss

    def _enforce_sharding(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def enforce_sharding(trainable: Any, others: Any, *args: Any) -> Any:
            others, seen = self._parted(others, self._model.non_trainable_variables)
            trainable, others, *rest = original(trainable, others, *args)
            return trainable, [*others, *seen], *rest

        return enforce_sharding

    def _stateless_apply(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def stateless_apply(optimizer_variables: Any, grads: Any, trainable_variables: Any) -> Any:
            variables = self._model.trainable_variables
            gradients, slots = self._parted(grads, variables)
            values, _ = self._parted(trainable_variables, variables)
            scale = self._loss_scale(optimizer_variables)
            if slots:
                rows = dict(zip(self._gradient_names, slots, strict=False))
                self._seen["activation_gradient"] = packed(
                    {name: _unscaled(each, scale) for name, each in rows.items()}
                )
            results = original(optimizer_variables, gradients, values)
            if self._plan.weights:
                weights, found = weight_rows(self._plan, variables, values, gradients, scale)
                self._seen["weight"], self._seen["weight_gradient"] = packed(weights), packed(found)
                self._seen["update_ratio"] = packed(update_ratios(variables, values, results[0]))
            return results

        return stateless_apply

    def _tap(self, slots: Sequence[Any]) -> Callable[[str, Any], Any]:
        self._gradient_names = []
        free = iter(slots)

        def tap(name: str, x: Any) -> Any:
            slot = next(free, None)
            if slot is None or not jnp.issubdtype(x.dtype, jnp.floating):
                return x
            self._gradient_names.append(name)
            layer = self._plan.layers[name.partition("#")[0].partition(":")[0]]
            return _with_gradient_in(self._plan, units_axis(layer))(x, slot)

        return tap

    def _loss_scale(self, optimizer_variables: Sequence[Any]) -> Any:
        optimizer = self._model.optimizer
        mapping = list(zip(optimizer.variables, optimizer_variables, strict=True))
        with keras.StatelessScope(state_mapping=mapping):
            return optimizer.scale_loss(ops.ones(()))

    @staticmethod
    def _parted(values: Sequence[Any], variables: Sequence[Any]) -> tuple[list[Any], list[Any]]:
        """Return the values that belong to variables, and what was put behind them."""
        return list(values[: len(variables)]), list(values[len(variables) :])


def _with_gradient_in(plan: Plan, axis: int) -> Callable[[Any, Any], Any]:
    """Return the identity of its first argument; the gradient by its second is the statistics of that by its first."""

    def forward(x: Any, slot: Any) -> Any:  # noqa: ARG001 - only its gradient counts
        return x

    def backward(_: None, gradient: Any) -> tuple[Any, Any]:
        return gradient, row(first_rows(gradient, plan.max_elements), plan.bins, axis)

    identity: Any = jax.custom_vjp(forward)
    identity.defvjp(lambda x, slot: (x, None), backward)  # noqa: ARG005
    tapped: Callable[[Any, Any], Any] = identity
    return tapped


def _unscaled(statistics: Any, scale: Any) -> Any:
    """Return the statistics of x / scale from those of x."""
    of_size = jnp.array([name in ("mean", "std", "min", "max") for name in COLUMNS])
    factors = jnp.where(of_size, 1.0 / scale, 1.0)
    return statistics * jnp.concatenate([factors, jnp.ones(len(statistics) - len(COLUMNS))])
