"""The seam to Keras's trainer: run one training step so that it returns what was seen in it.

Keras's `fit` calls `model.train_function` for each batch, or few, and that calls `model.train_step`. For a step that is
watched, the train function is another one, made by Keras itself while the model's methods are shadowed; right before it
runs the model has its own train function again, and as it returns its own methods. Between steps nothing of ours is on
the model.
"""

from collections.abc import Callable, Mapping
from typing import Any

import keras

from layerwright.core.errors import UsageError
from layerwright.watch.plan import Plan

NEEDED = ("train_step", "make_train_function", "stateless_call")


class Training:
    """Trains single steps of a model under observation.

    Args:
        model: The model, compiled.
        plan: What is to be seen.
        take: Is given what was seen in a step, still on the device.
        before: Is called before each step with the model's trainable and other variables' values.

    Raises:
        UsageError: If this Keras's trainer is not as this file knows it.
        ValueError: If the model has several replicas, whose layers run in threads of their own.
    """

    def __init__(
        self, model: Any, plan: Plan, take: Callable[[dict[str, Any]], None], before: Callable[[Any, Any], None]
    ) -> None:
        _check(model)
        self._model = model
        self._take = take
        self._before = before
        self._is_functional = keras.backend.backend() == "jax"
        if self._is_functional:
            from layerwright.watch._functional_step import FunctionalStep

            self._step: Any = FunctionalStep(model, plan)
        else:
            from layerwright.watch._stateful_step import StatefulStep

            self._step = StatefulStep(model, plan)
        self._plan = plan
        self._plain: Any = None
        self._watched: Any = None

    @property
    def skipped(self) -> Mapping[str, str]:
        """Why layers are not seen, by their paths."""
        skipped: Mapping[str, str] = self._step.skipped
        return skipped

    def watches(self, model: Any, plan: Plan) -> bool:
        """Whether it is for this model and this plan."""
        return self._model is model and self._plan == plan

    def watch_next(self) -> None:
        """Have the model's next training step watched."""
        self._model.train_function = self._once

    def _once(self, *arguments: Any) -> Any:
        """Train as the model's train function does, and watch."""
        model = self._model
        model.train_function = self._plain
        self._before(*self._values(arguments))
        with self._step.installed():
            outputs = self._watched(*arguments)
        if not self._is_functional:
            return self._opened(outputs)
        outputs, state = outputs
        return self._opened(outputs), state

    def prepare(self) -> None:
        """Take the train function that Keras has just made, and make the one that watches."""
        model = self._model
        if model.train_function is self._plain and self._watched is not None:
            return
        self._plain = model.train_function
        with self._step.installed():
            model.make_train_function(force=True)
        self._watched, model.train_function = model.train_function, self._plain

    def _opened(self, outputs: Any) -> Any:
        if not (isinstance(outputs, dict) and set(outputs) == {"logs", "seen"}):
            self._take({})
            return outputs
        self._take(outputs["seen"])
        return outputs["logs"]

    def _values(self, arguments: Any) -> tuple[list[Any], list[Any]]:
        if self._is_functional:
            trainable, others, *_ = arguments[0]
            return trainable, others
        model = self._model
        trainable, others = model.trainable_variables, model.non_trainable_variables
        return [each.value for each in trainable], [each.value for each in others]


def _check(model: Any) -> None:
    missing = [name for name in NEEDED if not callable(getattr(model, name, None))]
    if missing or not hasattr(model, "train_function"):
        raise UsageError(
            f"Watch: Keras {keras.__version__}'s model has no {', '.join(missing or ['train_function'])}; Watch trains "
            "through it. Take a version of Keras that Layerwright supports, or a newer Layerwright."
        )
    replicas = getattr(getattr(model, "distribute_strategy", None), "num_replicas_in_sync", 1)
    if replicas > 1:
        raise ValueError(
            f"Watch: on TensorFlow only a model with one replica is watched (this one has {replicas}); train it "
            "outside the strategy's scope, or on JAX with keras.distribution."
        )
