"""`BatchChangeCallback`: how much a model's outputs on a fixed batch change from step to step."""

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import ops, tree

from layerwright.watch.probe import Probe, ProbeEvaluator
from layerwright.watch.request import WatchRequest
from layerwright.watch.training import WatchedTraining


@dataclass(frozen=True)
class BatchChange:
    """How much the outputs differ from those at the previous recorded step.

    Attributes:
        step: The training step. The outputs are computed just before it.
        mean: The mean of |yₜ - yₜ₋₁| over samples and outputs.
        largest: The largest |yₜ - yₜ₋₁|.
    """

    step: int
    mean: float
    largest: float


class BatchChangeCallback(keras.callbacks.Callback):
    """Record how much a model's outputs on fixed samples change while `fit` trains it.

    This is the simple form of `Watch(probe=…)`, without layers or sinks. If the learning rate is 0, every change is 0.

    Args:
        x: The samples, in the form that the model takes.
        every: Record every this many steps, starting with step 0.

    Attributes:
        changes: A `BatchChange` for each recorded step after the first.

    Raises:
        ValueError: If `every` is not a positive integer. From `fit`, if the model cannot be called on the samples.

    Example:
        >>> import keras
        >>> import numpy as np
        >>> import layerwright as lw
        >>> model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
        >>> model.compile(keras.optimizers.SGD(0.0), "mse")
        >>> change = lw.BatchChangeCallback(np.ones((2, 3)))
        >>> _ = model.fit(np.ones((8, 3)), np.ones((8, 1)), batch_size=4, verbose=0, callbacks=[change])
        >>> change.changes
        [BatchChange(step=1, mean=0.0, largest=0.0)]
    """

    def __init__(self, x: Any, every: int = 1) -> None:
        super().__init__()
        if not isinstance(every, int) or isinstance(every, bool) or every < 1:
            raise ValueError(f"BatchChangeCallback: every must be a positive integer (got {every!r}).")
        self.changes: list[BatchChange] = []
        self.every = every
        self._probe = Probe(x)
        self._step = 0
        self._previous: Any = None
        self._pending: Any = None

    def on_train_begin(self, logs: Any = None) -> None:  # noqa: ARG002 - Keras's signature
        """Prepare to watch the model that `fit` is about to train."""
        model = self._model
        request = WatchRequest({}, 0, 1, feature_means=False, activation_gradients=False, weights=False)
        self._evaluator = ProbeEvaluator(self._probe, model, request)
        self._training = WatchedTraining(model, request, on_output=lambda _: None, before_step=self._evaluate)
        self._training.prepare()

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:  # noqa: ARG002 - Keras's signature
        """Store the change of the previous step, and watch the next step if it is due."""
        self._store_change()
        if self._step % self.every == 0:
            self._training.watch_next_step()
        self._step += self._model.steps_per_execution

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:  # noqa: ARG002 - Keras's signature
        """Store the change of the previous step."""
        self._store_change()

    def _evaluate(self, trainable: Any, others: Any) -> None:
        if self._model.built:
            step = self._step - self._model.steps_per_execution
            self._pending = step, self._evaluator.evaluate(trainable, others)[0]

    def _store_change(self) -> None:
        if self._pending is None:
            return
        (step, outputs), self._pending = self._pending, None
        now = [np.asarray(ops.convert_to_numpy(each), "float64") for each in tree.flatten(outputs)]
        if self._previous is not None:
            moved = np.concatenate([abs(new - old).ravel() for new, old in zip(now, self._previous, strict=True)])
            self.changes.append(BatchChange(step, float(moved.mean()), float(moved.max())))
        self._previous = now
