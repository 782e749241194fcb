"""A fixed set of samples that the model evaluates again and again while it trains."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np
from keras import ops, tree

from layerwright import backends
from layerwright.backends.interception import intercepted
from layerwright.watch.forward import has_statistics, output_name
from layerwright.watch.records import PredictionRecord, ProbeRecord, Record
from layerwright.watch.request import WatchRequest

Array = np.ndarray[Any, Any]


class Probe:
    """A probe set: fixed samples whose activations and predictions are compared between recorded steps.

    For each watched activation a and each sample, `Watch` records the relative change ‖aₜ - aₜ₋₁‖ / ‖aₜ₋₁‖ since the
    previous recorded step. If the model did not change, it is exactly 0. Training changes the model; so does batch
    normalisation when it updates its moving averages. The between-batch shift also depends on which samples are in
    each batch; the relative change does not.

    If the model returns class scores `(batch, classes)`, `Watch` also records its predictions: the confidence in each
    label, and whether the predicted class is correct. These show which samples the model forgets (Toneva et al. 2019,
    arXiv:1812.05159), and on which its confidence is low or variable (Swayamdipta et al. 2020, arXiv:2009.10795).

    Args:
        x: The samples, in the form that the model takes: an array `(samples, …)` or a nested structure of arrays.
        y: Their labels, as class numbers `(samples,)` or one-hot `(samples, classes)`.
        ids: Their names; by default the numbers from 0.

    Raises:
        ValueError: If the numbers of samples differ.

    Example:
        >>> import numpy as np
        >>> from layerwright import Probe
        >>> Probe(np.zeros((3, 8)), ids=["cat", "dog", "owl"]).ids
        ('cat', 'dog', 'owl')
    """

    def __init__(self, x: Any, y: Any = None, ids: Sequence[Any] | None = None) -> None:
        sizes = {len(each) for each in tree.flatten(x)}
        if len(sizes) != 1 or 0 in sizes:
            raise ValueError(
                "Probe: x must hold arrays with the same number of samples, at least 1 "
                f"(got arrays with {', '.join(map(str, sorted(sizes))) or 'no'} samples)."
            )
        (self.size,) = sizes
        self.x = x
        self.labels = None if y is None else _class_numbers(np.asarray(y))
        self.ids = tuple(map(str, range(self.size) if ids is None else ids))
        for name, given in (("y", self.labels), ("ids", self.ids)):
            if given is not None and len(given) != self.size:
                raise ValueError(f"Probe: {name} must have one entry per sample (got {len(given)} for {self.size}).")


class ProbeEvaluator:
    """Evaluates a model on a probe set and compares the activations with the previous ones.

    Raises:
        ValueError: If the model cannot be called on the samples.
    """

    def __init__(self, probe: Probe, model: Any, request: WatchRequest) -> None:
        self._probe = probe
        self._model = model
        backend = backends.current()
        self._x = tree.map_structure(ops.convert_to_tensor, probe.x)
        functions = _ProbeFunctions(model, request, probe.size)
        compile_ = (lambda function: function) if backend.NAME == "torch" else backend.jit
        self._activations, self._compare = compile_(functions.activations), compile_(functions.compare)
        self._previous: Any = None
        if model.built:  # TensorFlow builds a subclassed model only in its first step
            with self._explaining_errors():
                model.compute_output_spec(self._symbolic_samples(), **functions.options)

    @contextmanager
    def _explaining_errors(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            shapes = tree.map_structure(lambda x: tuple(x.shape), self._x)
            raise ValueError(
                f"Watch: the model cannot be called on the probe set of shape {shapes}; pass samples in the form that "
                f"fit gets. The call raised: {error}"
            ) from error

    def _symbolic_samples(self) -> Any:
        def symbol(x: Any) -> Any:
            return keras.KerasTensor(tuple(x.shape), keras.backend.standardize_dtype(x.dtype))

        return tree.map_structure(symbol, self._x)

    def evaluate(self, trainable: Any, others: Any) -> Any:
        """Return the model's outputs and the relative changes, still on the device.

        Args:
            trainable: The values of the model's trainable variables.
            others: The values of its other variables.
        """
        with backends.current().inference():
            if self._previous is None:
                with self._explaining_errors():
                    activations, outputs = self._activations(trainable, others, self._x)
                changes = {}
            else:
                activations, outputs, changes = self._compare(trainable, others, self._x, self._previous)
        self._previous = activations
        return outputs, changes

    def records(self, step: int, evaluation: Any) -> Iterator[Record]:
        """Return the records of what `evaluate` returned."""
        outputs, changes = evaluation
        for names, matrix in changes.items():
            for name, change in zip(names, ops.convert_to_numpy(matrix), strict=True):
                yield ProbeRecord(step, name, self._probe.ids, tuple(map(float, change)))
        scores = ops.convert_to_numpy(ops.cast(outputs, "float32")) if ops.is_tensor(outputs) else np.zeros(0)
        if scores.ndim == 2:
            yield self._prediction(step, scores)

    def _prediction(self, step: int, scores: Array) -> PredictionRecord:
        shares = class_probabilities(scores)
        predicted, labels = shares.argmax(1), self._probe.labels
        classes = predicted if labels is None else labels
        return PredictionRecord(
            step,
            self._probe.ids,
            tuple(map(int, predicted)),
            tuple(map(float, shares[np.arange(len(shares)), classes])),
            () if labels is None else tuple(map(bool, predicted == labels)),
        )


class _ProbeFunctions:
    """The functions that `ProbeEvaluator` compiles."""

    def __init__(self, model: Any, request: WatchRequest, samples: int) -> None:
        self._model = model
        self._request = request
        self._samples = samples
        self.options = {"training": False} if model._call_has_training_arg else {}

    def activations(self, trainable: Any, others: Any, x: Any) -> Any:
        """Return the activations, under their names, and the model's outputs."""
        trace_state, found = backends.current().trace_state(), {}
        calls: dict[str, int] = {}

        def collect(path: str, outputs: Any) -> Any:
            if backends.current().trace_state() == trace_state:
                call = calls[path] = calls.get(path, -1) + 1
                for number, tensor in enumerate(tree.flatten(outputs)):
                    if has_statistics(tensor) and tuple(tensor.shape[:1]) == (self._samples,):
                        flat = ops.reshape(ops.cast(tensor, "float32"), (self._samples, -1))
                        found[output_name(path, call, number)] = flat
            return outputs

        with intercepted(self._request.layers, collect):
            outputs, *_ = self._model.stateless_call(trainable, others, x, **self.options)
        return {tuple(found): tuple(found.values())}, outputs

    def compare(self, trainable: Any, others: Any, x: Any, previous: Any) -> Any:
        """Return the same, and for each sample the relative change from its previous activation."""
        activations, outputs = self.activations(trainable, others, x)
        changes = {}
        for names, now in activations.items():
            if now and names in previous:
                pairs = zip(now, previous[names], strict=True)
                changes[names] = ops.stack([relative_change(new, old) for new, old in pairs])
        return activations, outputs, changes


def relative_change(now: Any, before: Any) -> Any:
    """Return ‖now - before‖ / ‖before‖ along the last axis; 0 where nothing changed, even if `before` is 0."""
    change, size = (ops.sqrt(ops.sum(ops.square(each), axis=-1)) for each in (now - before, before))
    return ops.where(change > 0, change / size, 0.0)


def class_probabilities(scores: Array) -> Array:
    """Return class probabilities from a model's outputs `(samples, classes)`: probabilities or logits.

    A single column is the probability, or the logit, of class 1 in a problem with two classes.
    """
    shares: Array = scores.astype("float64")
    if shares.shape[1] == 1:
        are_probabilities = ((shares >= 0) & (shares <= 1)).all()
        positive = shares if are_probabilities else 1 / (1 + np.exp(-shares))
        return np.concatenate([1 - positive, positive], axis=1)
    if (shares >= 0).all() and np.allclose(shares.sum(1), 1, atol=1e-2):
        return shares
    shares = np.exp(shares - shares.max(1, keepdims=True))
    shares /= shares.sum(1, keepdims=True)
    return shares


def _class_numbers(labels: Array) -> Array:
    if labels.ndim == 2:
        labels = labels.argmax(1) if labels.shape[1] > 1 else labels[:, 0]
    numbers: Array = labels.astype("int64")
    return numbers
