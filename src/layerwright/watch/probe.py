"""A fixed set of samples, looked at again and again while the model learns."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np
from keras import ops, tree

from layerwright import backends
from layerwright.backends.interception import intercepted
from layerwright.watch.forward import has_statistics, site
from layerwright.watch.plan import Plan
from layerwright.watch.records import PredictionRecord, ProbeRecord, Record

Array = np.ndarray[Any, Any]


class Probe:
    """A probe set: samples whose activations and predictions are compared between looks.

    For each watched activation a and each sample, the relative change ‖aₜ - aₜ₋₁‖ / ‖aₜ₋₁‖ between two looks; with no
    step of learning in between it is exactly 0, unless the model changes without learning, as batch normalisation does.
    The shift between training batches mixes learning with which samples are in the batch; this is learning alone.

    Where the model's output is one of class scores, also what it predicts: how sure it is of each label, whether it is
    right, and so which samples it forgets (Toneva et al. 2019, arXiv:1812.05159), is unsure of or changes its mind on
    (confidence and variability: Swayamdipta et al. 2020, arXiv:2009.10795).

    Args:
        x: The samples, as the model takes them: `(samples, …)`, or a structure of such arrays.
        y: Their labels, as class numbers `(samples,)` or one-hot `(samples, classes)`.
        ids: Their names; by default their numbers.

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
            raise ValueError(f"Probe: x must be arrays of one number of samples (got {sorted(sizes)}).")
        (self.size,) = sizes
        self.x = x
        self.labels = None if y is None else _classes(np.asarray(y))
        self.ids = tuple(map(str, range(self.size) if ids is None else ids))
        for name, given in (("y", self.labels), ("ids", self.ids)):
            if given is not None and len(given) != self.size:
                raise ValueError(f"Probe: {name} must be as many as x ({self.size} samples, got {len(given)}).")


class ProbeWatcher:
    """Looks at a probe set with a model's weights of the moment.

    Raises:
        ValueError: If the model cannot take the samples.
    """

    def __init__(self, probe: Probe, model: Any, plan: Plan) -> None:
        self._probe = probe
        self._model = model
        self._plan = plan
        backend = backends.current()
        self._x = tree.map_structure(ops.convert_to_tensor, probe.x)
        self._look = _Look(model, plan, probe.size)
        compile_ = (lambda function: function) if backend.NAME == "torch" else backend.jit
        self._first, self._next = compile_(self._look.first), compile_(self._look.next)
        self._previous: Any = None
        if model.built:  # TensorFlow trains models that are built in the first step only
            with self._refusals_named():
                model.compute_output_spec(self._symbols(), **self._look.options)

    @contextmanager
    def _refusals_named(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            shapes = tree.map_structure(lambda x: tuple(x.shape), self._x)
            raise ValueError(f"Watch: the model cannot take the probe set, of shape {shapes}: {error}") from error

    def _symbols(self) -> Any:
        def symbol(x: Any) -> Any:
            return keras.KerasTensor(tuple(x.shape), keras.backend.standardize_dtype(x.dtype))

        return tree.map_structure(symbol, self._x)

    def look(self, trainable: Any, others: Any) -> Any:
        """Return what there is to see, still on the device."""
        with backends.current().inference():
            if self._previous is None:
                with self._refusals_named():
                    activations, outputs = self._first(trainable, others, self._x)
                changes = {}
            else:
                activations, outputs, changes = self._next(trainable, others, self._x, self._previous)
        self._previous = activations
        return outputs, changes

    def records(self, step: int, seen: Any) -> Iterator[Record]:
        """Return the records of a look."""
        outputs, changes = seen
        for names, matrix in changes.items():
            for name, change in zip(names, ops.convert_to_numpy(matrix), strict=True):
                yield ProbeRecord(step, name, self._probe.ids, tuple(map(float, change)))
        scores = ops.convert_to_numpy(ops.cast(outputs, "float32")) if ops.is_tensor(outputs) else np.zeros(0)
        if scores.ndim == 2:
            yield self._prediction(step, scores)

    def _prediction(self, step: int, scores: Array) -> PredictionRecord:
        shares = probabilities(scores)
        predicted, labels = shares.argmax(1), self._probe.labels
        meant = predicted if labels is None else labels
        return PredictionRecord(
            step,
            self._probe.ids,
            tuple(map(int, predicted)),
            tuple(map(float, shares[np.arange(len(shares)), meant])),
            () if labels is None else tuple(map(bool, predicted == labels)),
        )


class _Look:
    """The functions that are compiled."""

    def __init__(self, model: Any, plan: Plan, samples: int) -> None:
        self._model = model
        self._plan = plan
        self._samples = samples
        self.options = {"training": False} if model._call_has_training_arg else {}

    def first(self, trainable: Any, others: Any, x: Any) -> Any:
        """Return the activations, under their names, and the outputs."""
        here, seen = backends.current().trace_state(), {}
        calls: dict[str, int] = {}

        def see(path: str, outputs: Any) -> Any:
            if backends.current().trace_state() == here:
                call = calls[path] = calls.get(path, -1) + 1
                for number, tensor in enumerate(tree.flatten(outputs)):
                    if has_statistics(tensor) and tuple(tensor.shape[:1]) == (self._samples,):
                        flat = ops.reshape(ops.cast(tensor, "float32"), (self._samples, -1))
                        seen[site(path, call, number)] = flat
            return outputs

        with intercepted(self._plan.layers, see):
            outputs, *_ = self._model.stateless_call(trainable, others, x, **self.options)
        return {tuple(seen): tuple(seen.values())}, outputs

    def next(self, trainable: Any, others: Any, x: Any, previous: Any) -> Any:
        """Return the same, and how far each sample is from its previous activation."""
        activations, outputs = self.first(trainable, others, x)
        changes = {}
        for names, now in activations.items():
            if now and names in previous:
                pairs = zip(now, previous[names], strict=True)
                changes[names] = ops.stack([relative_change(new, old) for new, old in pairs])
        return activations, outputs, changes


def relative_change(now: Any, before: Any) -> Any:
    """Return ‖now - before‖ / ‖before‖ along the last axis; 0 where nothing changed, also from 0."""
    change, size = (ops.sqrt(ops.sum(ops.square(each), axis=-1)) for each in (now - before, before))
    return ops.where(change > 0, change / size, 0.0)


def probabilities(scores: Array) -> Array:
    """Return class probabilities from a model's outputs `(samples, classes)`, be they such or logits.

    A single column is the probability, or the logit, of class 1 of two.
    """
    shares: Array = scores.astype("float64")
    if shares.shape[1] == 1:
        is_share = ((shares >= 0) & (shares <= 1)).all()
        positive = shares if is_share else 1 / (1 + np.exp(-shares))
        return np.concatenate([1 - positive, positive], axis=1)
    if (shares >= 0).all() and np.allclose(shares.sum(1), 1, atol=1e-2):
        return shares
    shares = np.exp(shares - shares.max(1, keepdims=True))
    shares /= shares.sum(1, keepdims=True)
    return shares


def _classes(labels: Array) -> Array:
    """Return class numbers."""
    if labels.ndim == 2:
        labels = labels.argmax(1) if labels.shape[1] > 1 else labels[:, 0]
    whole: Array = labels.astype("int64")
    return whole
