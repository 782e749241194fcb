"""`Watch`: records how each tensor behaves, batch by batch, inside the compiled training step."""

import logging
import warnings
import weakref
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, get_args

import keras

from layerwright.watch import statistic_names
from layerwright.watch.attached import watched_calls
from layerwright.watch.history import History
from layerwright.watch.probe import Probe, ProbeEvaluator
from layerwright.watch.records import Kind, Record, Sink, TensorRecord, TrainingRun
from layerwright.watch.request import WatchRequest
from layerwright.watch.rules import Rule
from layerwright.watch.selection import select_layers
from layerwright.watch.sinks import sinks_for
from layerwright.watch.statistics import validated_options
from layerwright.watch.step_recorder import StepRecorder
from layerwright.watch.training import WatchedTraining

Gradients = Literal["activation", "weight"]
LOG = logging.getLogger("layerwright.watch")


class Watch(keras.callbacks.Callback):
    """Record how each tensor of a model behaves while `fit` trains it, without changing the model.

    At each recorded step, the compiled training step also returns statistics of the outputs of the watched layers.
    Nothing is added to the model, and the training stays the same: the final weights are bit for bit equal, unless the
    compiler orders sums differently because of the additional results. (On torch with `jit_compile=True`, watched steps
    are compiled separately from the others and draw different random numbers for dropout.)

    `Watch` offers these statistics. They describe the finite elements of a tensor.

    * `"moments"`: `mean`, `std` and `norm`.
    * `"extrema"`: `min` and `max`.
    * `"zero_fraction"`: the fraction of zeros, and `dead_fraction`, the fraction of units that are 0 for every sample.
    * `"histogram"`: the number of elements in each bin.
    * `"between_batch_shift"`: `shift` = ‖mₜ - mₜ₋₁‖ and `relative_shift` = ‖mₜ - mₜ₋₁‖ / ‖mₜ₋₁‖, for the feature means
      m of two consecutive batches.

    `Watch` always records `n`, the number of elements that it read, and `nonfinite`, the number of NaN and infinite
    elements among them. It reads all elements of a weight. From an activation it reads the first rows of the batch, up
    to `max_elements` elements. If `steps_per_execution` is above 1, it reads the last step of each execution.

    With `keras.distribution` on JAX, `Watch` records the global batch. Each process writes the same records, marked
    with its process index. On TensorFlow, `Watch` raises an error for a model with several replicas. If several
    processes each run their own training loop, as on torch, each process records its own batch.

    Args:
        layers: The layers to watch: paths, names, patterns such as `"encoder/*"`, or layer objects. By default, every
            layer, including nested ones, except layers inside the loop of a recurrent layer.
        statistics: The statistics to record.
        gradients: `"activation"` records the gradient of the loss with respect to each watched activation. `"weight"`
            records each trainable weight, its gradient, and its update ratio ‖wₜ₊₁ - wₜ‖ / ‖wₜ‖. If the loss is
            scaled, gradients are divided by the scale.
        every: Record every this many steps, starting with step 0.
        max_elements: The largest number of elements to read from an activation.
        bins: The number of histogram bins. They are equally wide, from the smallest to the largest element.
        probe: A `Probe`: fixed samples whose activations and predictions are compared between recorded steps.
        sinks: Where to write records: folders, which receive TensorBoard event files and Parquet files, or objects
            with the methods of `Sink`.
        rules: Rules such as `NonFinite()`. Their alerts go to the log, to the sinks and into a Python warning. A rule
            with `stop=True` also stops the training.

    Attributes:
        history: The records, in memory.

    Raises:
        ValueError: If an argument is invalid. From `fit`, before it trains, if a name matches no layer, the model
            cannot be called on the probe set, or a folder is not writable.

    Example:
        >>> import keras
        >>> import numpy as np
        >>> import layerwright as lw
        >>> model = keras.Sequential([keras.layers.Dense(4, activation="relu", name="hidden"), keras.layers.Dense(1)])
        >>> model.compile("sgd", "mse")
        >>> watch = lw.Watch("hidden", every=2)
        >>> _ = model.fit(np.ones((8, 3)), np.ones((8, 1)), batch_size=2, verbose=0, callbacks=[watch])
        >>> [(record.step, record.tensor, record.values["n"]) for record in watch.history.tensors]
        [(0, 'hidden', 8.0), (2, 'hidden', 8.0)]
    """

    def __init__(
        self,
        layers: Any = None,
        statistics: Sequence[str] = ("moments", "extrema", "zero_fraction", "histogram"),
        gradients: Sequence[Gradients] = (),
        every: int = 50,
        max_elements: int = 32_768,
        bins: int = 32,
        probe: Probe | None = None,
        sinks: Iterable[str | Path | Sink] = (),
        rules: Iterable[Rule] = (),
    ) -> None:
        super().__init__()
        for name, size in (("every", every), ("max_elements", max_elements), ("bins", bins)):
            if not isinstance(size, int) or isinstance(size, bool) or size < 1:
                raise ValueError(f"Watch: {name} must be a positive integer (got {size!r}).")
        if isinstance(gradients, str) or not set(gradients) <= set(get_args(Gradients)):
            known = " and ".join(map(repr, get_args(Gradients)))
            raise ValueError(
                f"Watch: gradients must be a sequence of {known} (got {gradients!r}); pass gradients=('weight',), for "
                "example."
            )
        if probe is not None and not isinstance(probe, Probe):
            raise ValueError(
                f"Watch: probe must be a Probe (got {type(probe).__name__}); pass Probe(x[:32]), for example."
            )
        self.layers = layers
        self.statistics = validated_options(statistics)
        self.gradients = tuple(gradients)
        self.every = every
        self.max_elements = max_elements
        self.bins = bins
        self.probe = probe
        self.rules = tuple(map(deepcopy, rules))  # some rules keep earlier values
        for rule in self.rules:
            self._check_rule(rule)
        self.history = History()
        self._sinks = [sink for each in _as_list(sinks) for sink in _sinks_from(each)]
        self._open: list[Sink] = []
        self._step = 0
        self._recorder = StepRecorder(self.statistics)
        self._training: WatchedTraining | None = None
        self._evaluator: ProbeEvaluator | None = None
        self._watched_step = 0
        self._pending_output: dict[str, Any] | None = None
        self._pending_probe: Any = None
        self._warned: set[str] = set()
        weakref.finalize(self, _close_all, self._open)

    def on_train_begin(self, logs: Any = None) -> None:  # noqa: ARG002 - Keras's signature
        """Prepare to watch the model that `fit` is about to train."""
        self.close()  # an earlier `fit` may have been interrupted
        model = self._model  # on JAX, `self.model` copies all state back to the model
        request = self._request(model)
        if self._training is None or not self._training.is_for(model, request):
            self._training = WatchedTraining(
                model, request, on_output=self._keep_output, before_step=self._evaluate_probe
            )
            self._evaluator = None if self.probe is None else ProbeEvaluator(self.probe, model, request)
        self._training.prepare()
        self._open_sinks(model)

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:  # noqa: ARG002 - Keras's signature
        """Record the previous step if it was watched, and watch the next step if it is due."""
        self._record_pending()
        steps = self._model.steps_per_execution
        # The shift at a recorded step needs the feature means of the step before it.
        is_before_due = "between_batch_shift" in self.statistics and self._is_due(self._step + steps, steps)
        if self._training and (is_before_due or self._is_due(self._step, steps)):
            self._watched_step = self._step
            self._training.watch_next_step()
        self._step += steps

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:  # noqa: ARG002 - Keras's signature
        """Record the previous step if it was watched."""
        self._record_pending()

    def on_train_end(self, logs: Any = None) -> None:  # noqa: ARG002 - Keras's signature
        """Record the last step, and write what is still buffered."""
        self.close()

    def close(self) -> None:
        """Record the last step, and write what is still buffered. `fit` does this at its end, unless interrupted."""
        self._record_pending()
        _close_all(self._open)

    @contextmanager
    def attached(self, model: Any, sample: Any = None) -> Iterator["Watch"]:
        """Watch a model outside `fit`. Each call of the model counts as a step; every `every`-th call is recorded.

        Only activations are recorded: no between-batch shift, gradients, weights or probe set. Calls inside functions
        that you compiled earlier are not recorded. The functions that Keras compiles for `predict` and others are
        compiled again.

            with watch.attached(model):
                for x in batches:
                    step(model, x)

        Args:
            model: The model.
            sample: Inputs for one call that builds the model, if it is not built yet.

        Raises:
            ValueError: As from `fit`.
        """
        if sample is not None and not model.built:
            model(sample)
        self._model = model  # a rule may set its `stop_training`
        recorder = StepRecorder([name for name in self.statistics if name != "between_batch_shift"])

        def receive(output: dict[str, Any]) -> None:
            step, self._step = self._step, self._step + 1
            if step % self.every == 0:
                tensors = list(recorder.records(step, output, previous_step=-1))
                self._write([*tensors, *self._alerts(tensors)])

        request = replace(self._request(model), activation_gradients=False, weights=False)
        self._open_sinks(model)
        try:
            with watched_calls(model, request, receive):
                yield self
        finally:
            self.close()

    def to_pandas(self) -> Any:
        """Return the statistics recorded so far as a `pandas.DataFrame`, with one row for each step and tensor."""
        return self.history.to_pandas()

    def _repr_html_(self) -> str:
        from layerwright.watch.show import notebook

        return notebook.history_html(self.history)

    def _request(self, model: Any) -> WatchRequest:
        return WatchRequest(
            layers=select_layers(model, self.layers),
            bins=self.bins if "histogram" in self.statistics else 0,
            max_elements=self.max_elements,
            feature_means="between_batch_shift" in self.statistics,
            activation_gradients="activation" in self.gradients,
            weights="weight" in self.gradients,
        )

    def _is_due(self, first: int, steps: int) -> bool:
        """Whether one of the `steps` steps from `first` on is to be recorded."""
        return -first % self.every < steps

    def _evaluate_probe(self, trainable: Any, others: Any) -> None:
        if (
            self._evaluator is not None
            and self._model.built
            and self._is_due(self._watched_step, self._model.steps_per_execution)
        ):
            self._pending_probe = self._evaluator.evaluate(trainable, others)

    def _keep_output(self, output: dict[str, Any]) -> None:
        """Keep the statistics of a step. They are still on the device, and may not be computed yet."""
        self._pending_output = output

    def _record_pending(self) -> None:
        """Record the statistics that were kept, if any."""
        output, self._pending_output = self._pending_output, None
        evaluation, self._pending_probe = self._pending_probe, None
        if output is None:
            return
        steps = self._model.steps_per_execution
        step = self._watched_step + steps - 1  # the last of the steps that were executed together
        self._warn_about_missing(output)
        if not self._is_due(self._watched_step, steps):
            self._recorder.remember_means(step, output)
            return
        tensors = list(self._recorder.records(step, output, previous_step=step - steps))
        probes: list[Record] = []
        if self._evaluator and evaluation:
            probes = list(self._evaluator.records(self._watched_step, evaluation))
        self._write([*tensors, *probes, *self._alerts(tensors)])

    def _alerts(self, tensors: Sequence[TensorRecord]) -> list[Record]:
        alerts: list[Record] = []
        for rule in self.rules:
            for alert in rule.alerts(tensors):
                alerts.append(alert)
                LOG.warning(alert.message)
                self._warn_once(f"{alert.rule} {alert.kind} {alert.tensor}", alert.message)
                if rule.stop:
                    self._model.stop_training = True
        return alerts

    def _open_sinks(self, model: Any) -> None:
        settings = {
            "layers": list(self._request(model).layers),
            "statistics": list(self.statistics),
            "gradients": list(self.gradients),
            "every": self.every,
            "max_elements": self.max_elements,
        }
        run = TrainingRun(model.name, keras.backend.backend(), _process_index(), settings)
        for sink in self._sinks:
            sink.open(run)
            self._open.append(sink)

    def _write(self, records: Sequence[Record]) -> None:
        self.history.write(records)
        for sink in list(self._open):
            try:
                sink.write(records)
            except Exception as error:
                self._open.remove(sink)
                name = type(sink).__name__
                self._warn_once(
                    name, f"Watch: the sink {name} failed and gets no more records; training continues. {error!r}"
                )

    def _warn_about_missing(self, output: dict[str, Any]) -> None:
        if not output.get(Kind.ACTIVATION):
            self._warn_once(
                "nothing",
                "Watch: a training step returned no activations to record; the model's train_step must call the model "
                "itself, as Keras's own train_step does.",
            )
        skipped = self._training.skipped if self._training else {}
        for path, reason in skipped.items():
            self._warn_once(path, f"Watch: {path!r} {reason}.")

    def _warn_once(self, key: str, message: str) -> None:
        if key not in self._warned:
            self._warned.add(key)
            warnings.warn(message, RuntimeWarning, stacklevel=2)

    def _check_rule(self, rule: Rule) -> None:
        name = type(rule).__name__
        options, kinds = list(self.statistics), {Kind.ACTIVATION}
        if "activation" in self.gradients:
            kinds.add(Kind.ACTIVATION_GRADIENT)
        if "weight" in self.gradients:
            kinds |= {Kind.WEIGHT, Kind.WEIGHT_GRADIENT}
            options.append(statistic_names.WEIGHT)
        if not kinds & set(rule.kinds):
            wanted = sorted({"weight" if each.startswith("weight") else "activation" for each in rule.kinds})
            raise ValueError(
                f"Watch: the rule {name} needs {' or '.join(map(repr, wanted))} in gradients (got {self.gradients}); "
                f"pass gradients={(*self.gradients, wanted[-1])}."
            )
        missing = set(rule.needs) - set(statistic_names.names_recorded_with(options))
        if missing:
            needed = statistic_names.options_that_record(missing)
            advice = f"statistics={(*self.statistics, *needed)}" if needed else "gradients=('weight',)"
            raise ValueError(
                f"Watch: the rule {name} needs {', '.join(sorted(missing))}, which is not recorded; pass {advice}."
            )


def _as_list(sinks: Any) -> list[Any]:
    return [sinks] if isinstance(sinks, (str, Path, Sink)) else list(sinks)


def _sinks_from(given: Any) -> list[Sink]:
    if isinstance(given, (str, Path)):
        return sinks_for(given)
    if not isinstance(given, Sink):
        raise ValueError(
            f"Watch: sinks must be folders or objects with the methods open, write and close (got {given!r})."
        )
    return [given]


def _close_all(sinks: list[Sink]) -> None:
    while sinks:
        sink = sinks.pop()
        try:
            sink.close()
        except Exception as error:
            message = f"Watch: the sink {type(sink).__name__} could not write its last records. {error!r}"
            warnings.warn(message, RuntimeWarning, stacklevel=2)


def _process_index() -> int:
    """Return the index of this process if several train together, else 0."""
    if keras.backend.backend() == "jax":
        import jax

        return int(jax.process_index())
    if keras.backend.backend() == "torch":
        import torch

        return int(torch.distributed.get_rank()) if torch.distributed.is_initialized() else 0
    return 0
