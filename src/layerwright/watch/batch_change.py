"""`BatchChangeCallback`: how far a model's outputs on a fixed batch move from step to step."""

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import ops, tree

from layerwright.watch.plan import Plan
from layerwright.watch.probe import Probe, ProbeWatcher
from layerwright.watch.training import Training


@dataclass(frozen=True)
class BatchChange:
    """How far the outputs are from those of the look before.

    Attributes:
        step: The training step before which they were computed.
        mean: The mean over samples and outputs of |yₜ - yₜ₋₁|.
        largest: The largest |yₜ - yₜ₋₁|.
    """

    step: int
    mean: float
    largest: float


class BatchChangeCallback(keras.callbacks.Callback):
    """Record how far a model's outputs on the same samples move while `fit` trains it.

    It is the simple form of `Watch(probe=…)`: no layers, no sinks. With a learning rate of 0 every change is 0.

    Args:
        x: The samples, as the model takes them.
        every: How many steps there are from one look to the next.

    Attributes:
        changes: A `BatchChange` for each look but the first.

    Raises:
        ValueError: If `every` is no positive whole number; from `fit`, if the model cannot take the samples.

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
            raise ValueError(f"BatchChangeCallback: every must be a positive whole number (got {every!r}).")
        self.changes: list[BatchChange] = []
        self.every = every
        self._probe = Probe(x)
        self._step = 0
        self._before: Any = None
        self._outputs: Any = None

    def on_train_begin(self, logs: Any = None) -> None:  # noqa: ARG002 - Keras's signature
        """Make ready to look at the model that `fit` is about to train."""
        model, plan = self._model, Plan({}, 0, 1, False, False, False)
        self._prober = ProbeWatcher(self._probe, model, plan)
        self._training = Training(model, plan, take=lambda _: None, before=self._look)
        self._training.prepare()

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:  # noqa: ARG002 - Keras's signature
        """Record the look before, and have the model looked at if it is time."""
        self._settle()
        if self._step % self.every == 0:
            self._training.watch_next()
        self._step += self._model.steps_per_execution

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:  # noqa: ARG002 - Keras's signature
        """Record the look before."""
        self._settle()

    def _look(self, trainable: Any, others: Any) -> None:
        if self._model.built:
            step = self._step - self._model.steps_per_execution
            self._outputs = step, self._prober.look(trainable, others)[0]

    def _settle(self) -> None:
        if self._outputs is None:
            return
        (step, outputs), self._outputs = self._outputs, None
        now = [np.asarray(ops.convert_to_numpy(each), "float64") for each in tree.flatten(outputs)]
        if self._before is not None:
            moved = np.concatenate([abs(new - old).ravel() for new, old in zip(now, self._before, strict=True)])
            self.changes.append(BatchChange(step, float(moved.mean()), float(moved.max())))
        self._before = now
