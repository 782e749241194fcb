"""`Watch`: what happens to each tensor, batch by batch, inside the compiled training step."""

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

from layerwright.watch.attached import watched_calls
from layerwright.watch.history import History
from layerwright.watch.looks import Looks
from layerwright.watch.plan import Plan
from layerwright.watch.probe import Probe, ProbeWatcher
from layerwright.watch.records import Kind, Record, Run, Sink, TensorRecord
from layerwright.watch.rules import Rule
from layerwright.watch.selection import selected
from layerwright.watch.sinks import sinks_for
from layerwright.watch.statistics import NAMES, checked
from layerwright.watch.training import Training

Gradients = Literal["activation", "weight"]
LOG = logging.getLogger("layerwright.watch")


class Watch(keras.callbacks.Callback):
    """Record how each tensor of a model behaves while `fit` trains it, and leave the model as it was.

    Every `every` steps the compiled training step also returns statistics of what the watched layers returned. Nothing
    is added to the model, and nothing about the training changes: where a compiler does not reorder sums because of the
    additional results, the weights end bit for bit the same. (On torch with `jit_compile=True` the watched steps are
    compiled apart from the others, and draw other numbers for dropout.)

    Statistics of a tensor x, of its finite elements: `"moments"` (mean, std, norm), `"extrema"` (min, max),
    `"zero_fraction"` (share of zeros; share of units that are 0 throughout, `dead_fraction`), `"histogram"`, and
    `"between_batch_shift"`: ‖mₜ - mₜ₋₁‖, absolutely and relative to ‖mₜ₋₁‖, for the feature means m of two batches one
    after another. The number of elements looked at, `n`, and of those that are not finite, `nonfinite`, are recorded
    always. Of an activation, the batch's first rows are looked at, up to `max_elements` elements; of weights, all. With
    `steps_per_execution` above 1 the last of the steps that are executed together is looked at.

    Under `keras.distribution`, on JAX, the global batch is what is seen, whichever device or process holds its parts;
    each process records the same, and marks its records with its number. On TensorFlow a model that a strategy gives
    several replicas is refused. Where processes train with a loop of their own, as on torch, each sees its own batch.

    Args:
        layers: Which layers: paths, names or patterns such as `"encoder/*"`, or layers; by default every layer, nested
            ones too, except what runs inside a recurrent layer's loop.
        statistics: Which statistics.
        gradients: `"activation"` records the gradient of the loss by each watched activation; `"weight"` each trainable
            weight, its gradient, and its update ratio ‖wₜ₊₁ - wₜ‖ / ‖wₜ‖. The scale of a scaled loss is divided out.
        every: How many steps there are from one look to the next; the first is at step 0.
        max_elements: See above.
        bins: The number of a histogram's bins, equally wide between the smallest and the largest element.
        probe: A `Probe`: samples whose activations and predictions are compared from look to look.
        sinks: Folders, which get TensorBoard events and Parquet files, and objects with the methods of `Sink`.
        rules: Rules such as `NonFinite()`; their alerts go into the log, the sinks and a Python warning, and stop the
            training if the rule says so.

    Attributes:
        history: What was recorded, in memory.

    Raises:
        ValueError: If an argument is not one of those above; from `fit`, before it trains, if a name fits no layer, the
            model cannot take the probe set, or a folder cannot be written into.

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
                raise ValueError(f"Watch: {name} must be a positive whole number (got {size!r}).")
        if isinstance(gradients, str) or not set(gradients) <= set(get_args(Gradients)):
            raise ValueError(f"Watch: gradients must be names out of {get_args(Gradients)} (got {gradients!r}).")
        if probe is not None and not isinstance(probe, Probe):
            raise ValueError(f"Watch: probe must be a Probe, such as Probe(x[:32]) (got {type(probe).__name__}).")
        self.layers = layers
        self.statistics = checked(statistics)
        self.gradients = tuple(gradients)
        self.every = every
        self.max_elements = max_elements
        self.bins = bins
        self.probe = probe
        self.rules = tuple(map(deepcopy, rules))  # some remember what they saw
        for rule in self.rules:
            self._check_rule(rule)
        self.history = History()
        self._sinks = [sink for each in _listed(sinks) for sink in _sinks(each)]
        self._open: list[Sink] = []
        self._step = 0
        self._looks = Looks(self.statistics)
        self._training: Training | None = None
        self._prober: ProbeWatcher | None = None
        self._watching = 0
        self._seen: dict[str, Any] | None = None
        self._probed: Any = None
        self._said: set[str] = set()
        weakref.finalize(self, _close_all, self._open)

    def on_train_begin(self, logs: Any = None) -> None:  # noqa: ARG002 - Keras's signature
        """Make ready to watch the model that `fit` is about to train."""
        self.close()  # an earlier `fit` may have been broken off
        model = self._model  # `self.model` would have JAX copy its state back
        plan = self._plan(model)
        if self._training is None or not self._training.watches(model, plan):
            self._training = Training(model, plan, take=self._take, before=self._probe_with)
            self._prober = None if self.probe is None else ProbeWatcher(self.probe, model, plan)
        self._training.prepare()
        self._open_sinks(model)

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:  # noqa: ARG002 - Keras's signature
        """Record the step before if it was watched, and watch the next one if it is its turn."""
        self._settle()
        steps = self._model.steps_per_execution
        is_before_one = "between_batch_shift" in self.statistics and self._is_due(self._step + steps, steps)
        if self._training and (is_before_one or self._is_due(self._step, steps)):
            self._watching = self._step
            self._training.watch_next()
        self._step += steps

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:  # noqa: ARG002 - Keras's signature
        """Record the step before if it was watched."""
        self._settle()

    def on_train_end(self, logs: Any = None) -> None:  # noqa: ARG002 - Keras's signature
        """Record the last step, and write out what is still in hand."""
        self.close()

    def close(self) -> None:
        """Record the last step, and write out what is in hand; `fit` does so at its end, unless it is broken off."""
        self._settle()
        _close_all(self._open)

    @contextmanager
    def attached(self, model: Any, sample: Any = None) -> Iterator["Watch"]:
        """Watch a model outside `fit`: each call of it counts as a step, and each `every`-th is recorded.

        Activations alone are seen, without shifts between batches, gradients, weights and the probe set. Functions that
        were compiled before do not call back; what Keras compiles for `predict` is compiled anew.

            with watch.attached(model):
                for x in batches:
                    step(model, x)

        Args:
            model: The model.
            sample: Inputs to call it with once before, if it is not built yet.

        Raises:
            ValueError: As from `fit`.
        """
        if sample is not None and not model.built:
            model(sample)
        self._model = model  # which rules may tell to stop
        looks = Looks([name for name in self.statistics if name != "between_batch_shift"])

        def receive(seen: dict[str, Any]) -> None:
            step, self._step = self._step, self._step + 1
            if step % self.every == 0:
                tensors = list(looks.records(step, seen, before=-1))
                self._write([*tensors, *self._alerts(tensors)])

        self._open_sinks(model)
        try:
            with watched_calls(model, replace(self._plan(model), activation_gradients=False, weights=False), receive):
                yield self
        finally:
            self.close()

    def to_pandas(self) -> Any:
        """Return the statistics recorded so far as a `pandas.DataFrame`, one row for each tensor and step."""
        return self.history.to_pandas()

    def _repr_html_(self) -> str:
        from layerwright.watch.show import notebook

        return notebook.history(self.history)

    def _plan(self, model: Any) -> Plan:
        return Plan(
            layers=selected(model, self.layers),
            bins=self.bins if "histogram" in self.statistics else 0,
            max_elements=self.max_elements,
            feature_means="between_batch_shift" in self.statistics,
            activation_gradients="activation" in self.gradients,
            weights="weight" in self.gradients,
        )

    def _is_due(self, first: int, steps: int) -> bool:
        """Whether a look falls on one of the `steps` steps from `first` on."""
        return -first % self.every < steps

    def _probe_with(self, trainable: Any, others: Any) -> None:
        if (
            self._prober is not None
            and self._model.built
            and self._is_due(self._watching, self._model.steps_per_execution)
        ):
            self._probed = self._prober.look(trainable, others)

    def _take(self, seen: dict[str, Any]) -> None:
        """Keep what a step returned; it is on the device still, and may not be computed yet."""
        self._seen = seen

    def _settle(self) -> None:
        """Record what was kept."""
        seen, probed, self._seen, self._probed = self._seen, self._probed, None, None
        if seen is None:
            return
        steps = self._model.steps_per_execution
        step = self._watching + steps - 1  # the last of the steps that were executed together
        self._tell_what_is_missing(seen)
        if not self._is_due(self._watching, steps):
            self._looks.remember(step, seen)
            return
        tensors = list(self._looks.records(step, seen, before=step - steps))
        probes = list(self._prober.records(self._watching, probed)) if self._prober and probed else []
        self._write([*tensors, *probes, *self._alerts(tensors)])

    def _alerts(self, tensors: Sequence[TensorRecord]) -> list[Record]:
        alerts: list[Record] = []
        for rule in self.rules:
            for alert in rule.look(tensors):
                alerts.append(alert)
                LOG.warning(alert.message)
                self._warn_once(f"{alert.rule} {alert.kind} {alert.tensor}", alert.message)
                if rule.stop:
                    self._model.stop_training = True
        return alerts

    def _open_sinks(self, model: Any) -> None:
        settings = {
            "layers": list(self._plan(model).layers),
            "statistics": list(self.statistics),
            "gradients": list(self.gradients),
            "every": self.every,
            "max_elements": self.max_elements,
        }
        run = Run(model.name, keras.backend.backend(), _process(), settings)
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
                self._warn_once(name, f"Watch: {name} failed and gets no more records; training goes on. {error!r}")

    def _tell_what_is_missing(self, seen: dict[str, Any]) -> None:
        if not seen.get(Kind.ACTIVATION):
            said = "Watch saw no activation in a step: the model's train_step does not call it as Keras's own does."
            self._warn_once("nothing", said)
        skipped = self._training.skipped if self._training else {}
        for path, why in skipped.items():
            self._warn_once(path, f"Watch: {path!r} is not watched, since {why}.")

    def _warn_once(self, about: str, message: str) -> None:
        if about not in self._said:
            self._said.add(about)
            warnings.warn(message, RuntimeWarning, stacklevel=2)

    def _check_rule(self, rule: Rule) -> None:
        name = type(rule).__name__
        recorded = {"n", "nonfinite", *(each for statistic in self.statistics for each in NAMES[statistic])}
        kinds = {Kind.ACTIVATION}
        if "activation" in self.gradients:
            kinds.add(Kind.ACTIVATION_GRADIENT)
        if "weight" in self.gradients:
            kinds |= {Kind.WEIGHT, Kind.WEIGHT_GRADIENT}
            recorded.add("update_ratio")
        if not kinds & set(rule.kinds):
            wanted = " or ".join(
                sorted({"weight" if each.startswith("weight") else "activation" for each in rule.kinds})
            )
            raise ValueError(f"Watch: {name} needs gradients of {wanted}s; pass gradients=('activation', 'weight').")
        missing = set(rule.needs) - recorded
        if missing:
            source = [statistic for statistic, names in NAMES.items() if missing & set(names)]
            raise ValueError(
                f"Watch: {name} needs {', '.join(sorted(missing))}; pass statistics={(*self.statistics, *source)}."
            )


def _listed(sinks: Any) -> list[Any]:
    return [sinks] if isinstance(sinks, (str, Path, Sink)) else list(sinks)


def _sinks(given: Any) -> list[Sink]:
    if isinstance(given, (str, Path)):
        return sinks_for(given)
    if not isinstance(given, Sink):
        raise ValueError(f"Watch: sinks must be folders, or objects with open, write and close (got {given!r}).")
    return [given]


def _close_all(sinks: list[Sink]) -> None:
    while sinks:
        sink = sinks.pop()
        try:
            sink.close()
        except Exception as error:
            said = f"Watch: {type(sink).__name__} could not write out its last records. {error!r}"
            warnings.warn(said, RuntimeWarning, stacklevel=2)


def _process() -> int:
    """Return this process's number where several train together."""
    if keras.backend.backend() == "jax":
        import jax

        return int(jax.process_index())
    if keras.backend.backend() == "torch":
        import torch

        return int(torch.distributed.get_rank()) if torch.distributed.is_initialized() else 0
    return 0
