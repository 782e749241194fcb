"""The connection to Keras's trainer: runs one training step so that it also returns statistics.

Keras's `fit` calls `model.train_function` for each batch, or for several batches, and that function calls
`model.train_step`. A watched step uses another train function, which Keras itself makes while the model's methods are
shadowed. Before a watched step starts, the model gets its own train function back; when it ends, its own methods.
Between steps nothing of Layerwright is on the model.
"""

from collections.abc import Callable, Mapping
from typing import Any

import keras

from layerwright.core.errors import UsageError
from layerwright.watch.request import WatchRequest

REQUIRED_METHODS = ("train_step", "make_train_function", "stateless_call")


class WatchedTraining:
    """Runs single training steps of a model so that they also return statistics.

    Args:
        model: The model, compiled.
        request: What to record.
        on_output: Called with the statistics of each watched step. They are still on the device.
        before_step: Called before each watched step, with the values of the model's trainable and other variables.

    Raises:
        UsageError: If Keras's trainer lacks a method that Layerwright needs.
        ValueError: If the model has several replicas, because TensorFlow runs their layers in separate threads.
    """

    def __init__(
        self,
        model: Any,
        request: WatchRequest,
        on_output: Callable[[dict[str, Any]], None],
        before_step: Callable[[Any, Any], None],
    ) -> None:
        _check_model(model)
        self._model = model
        self._on_output = on_output
        self._before_step = before_step
        self._is_functional = keras.backend.backend() == "jax"
        if self._is_functional:
            from layerwright.watch._functional_step import FunctionalStep

            self._step: Any = FunctionalStep(model, request)
        else:
            from layerwright.watch._stateful_step import StatefulStep

            self._step = StatefulStep(model, request)
        self._request = request
        self._plain_function: Any = None
        self._watched_function: Any = None

    @property
    def skipped(self) -> Mapping[str, str]:
        """For each layer that is not recorded, or only in part, the rest of a sentence that says why."""
        skipped: Mapping[str, str] = self._step.skipped
        return skipped

    def is_for(self, model: Any, request: WatchRequest) -> bool:
        """Whether this object was made for this model and this request."""
        return self._model is model and self._request == request

    def watch_next_step(self) -> None:
        """Watch the model's next training step."""
        self._model.train_function = self._run_watched_step

    def prepare(self) -> None:
        """Keep the train function that Keras has just made, and make the watched one."""
        model = self._model
        if model.train_function is self._plain_function and self._watched_function is not None:
            return
        self._plain_function = model.train_function
        with self._step.installed():
            model.make_train_function(force=True)
        self._watched_function, model.train_function = model.train_function, self._plain_function

    def _run_watched_step(self, *arguments: Any) -> Any:
        """Train like the model's own train function, and hand over the statistics."""
        model = self._model
        model.train_function = self._plain_function
        self._before_step(*self._variable_values(arguments))
        with self._step.installed():
            outputs = self._watched_function(*arguments)
        if not self._is_functional:
            return self._logs(outputs)
        outputs, state = outputs
        return self._logs(outputs), state

    def _logs(self, outputs: Any) -> Any:
        """Hand over the statistics in a step's outputs, and return the logs that Keras expects."""
        if not (isinstance(outputs, dict) and set(outputs) == {"logs", "statistics"}):
            self._on_output({})
            return outputs
        self._on_output(outputs["statistics"])
        return outputs["logs"]

    def _variable_values(self, arguments: Any) -> tuple[list[Any], list[Any]]:
        if self._is_functional:
            trainable, others, *_ = arguments[0]
            return trainable, others
        model = self._model
        trainable, others = model.trainable_variables, model.non_trainable_variables
        return [each.value for each in trainable], [each.value for each in others]


def _check_model(model: Any) -> None:
    missing = [name for name in REQUIRED_METHODS if not callable(getattr(model, name, None))]
    if missing or not hasattr(model, "train_function"):
        raise UsageError(
            f"Watch: Keras {keras.__version__}'s model has no {', '.join(missing or ['train_function'])}, which Watch "
            "needs; install a version of Keras that Layerwright supports, or a newer Layerwright."
        )
    replicas = getattr(getattr(model, "distribute_strategy", None), "num_replicas_in_sync", 1)
    if replicas > 1:
        raise ValueError(
            f"Watch: on TensorFlow, Watch supports models with one replica only (this model has {replicas}); create "
            "the model outside the strategy's scope, or use JAX with keras.distribution."
        )
