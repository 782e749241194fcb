"""`SampleMap`: applies a function of one sample to each sample of a batch."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Literal, NamedTuple, get_args

import keras
import numpy as np
from keras import ops, tree

from layerwright import backends
from layerwright.core.case import InputSpec, case, declared_cases
from layerwright.layers._arguments import check_choice, check_sizes
from layerwright.layers._functions import accepts_argument, resolve_function, serialize_function
from layerwright.layers._sample_functions import centered, masked_total
from layerwright.layers._sample_modes import (
    Samples,
    SampleSeed,
    apply_in_chunks,
    apply_in_loop,
    apply_map,
    apply_to_empty_batch,
    apply_vectorized,
    matches_loop,
    row_count,
    sample_keys,
    trial_batches,
)

Mode = Literal["auto", "batched", "vectorized", "map"]
ConcreteMode = Literal["batched", "vectorized", "map"]


class Strategy(NamedTuple):
    """The mode in which to apply a function, and whether the function draws random numbers."""

    mode: ConcreteMode
    draws: bool


OTHERS = {"function": [ops.abs], "output_spec": [keras.KerasTensor((5,))]}


@case(init={"function": centered}, inputs=(None, 5), others=OTHERS)
@case(
    init={"function": masked_total},
    inputs=(None, 6, 5),
    call={"mask": InputSpec((None, 6), "bool")},
    masking="consumed",
    others=OTHERS,
)
@keras.saving.register_keras_serializable(package="layerwright")
class SampleMap(keras.layers.Layer):
    """Apply a function of one sample to each sample of a batch.

        y[i] = f(x[i])

    `mode` selects how to call f. `"batched"` calls f once on the whole batch. This is the fastest mode, but it is
    correct only if f never mixes samples, like `ops.square`. `"vectorized"` uses the backend's vectorizing transform.
    `"map"` calls f on one sample after another, which is slow and always correct. `"auto"` uses the first of these
    modes that gives the same results as a loop over the samples of two small random batches. It runs this test once for
    each combination of ranks and dtypes, before compilation.

    If f has arguments with these names, it also receives `mask`, the mask of the sample; `training`; and `seed`, a seed
    of the sample for the functions of `keras.random`. Each sample has its own seed. If f takes the mask, the outputs
    carry no mask.

    A simple implementation loops with `tf.map_fn`. With XLA, its gradient is a thousand times slower than the gradient
    of the vectorized function. It also works on one backend only, loses the shape of the outputs, and uses one seed for
    all samples.

    Args:
        function: f, which takes a sample (a tensor or a nested structure of tensors) and returns a tensor or a nested
            structure. It may be a function of `keras.ops` or its name. Register any other function with
            `keras.saving.register_keras_serializable`, or a saved model cannot be loaded. Layers are not allowed,
            because they take batches.
        mode: `"auto"`, `"batched"`, `"vectorized"` or `"map"`.
        chunk_size: The largest number of samples to process at once in the modes `"batched"` and `"vectorized"`; None
            for all.
        output_spec: The output of f for one sample, as a `keras.KerasTensor` or a nested structure of them. By default,
            the layer traces f.
        seed: An integer that makes the random numbers reproducible.
        **kwargs: Arguments of every Keras layer, such as `name` and `dtype`.

    Call arguments:
        inputs: `(batch, …)`, or a nested structure of such tensors.
        mask: `(batch, …)`, or a nested structure, if f has an argument `mask`. By default, the mask attached to the
            inputs.

    Output: `(batch, …)`, the output of f for each sample.

    Raises:
        ValueError: If an argument is invalid. From a call, if f fails on a single sample, gives different results for
            the same sample, cannot be applied in the selected mode, or returns outputs that differ from `output_spec`.

    Example:
        >>> import keras
        >>> import numpy as np
        >>> from layerwright.layers import SampleMap
        >>> layer = SampleMap("flip")  # a whole batch at once would swap the samples
        >>> print(keras.ops.convert_to_numpy(layer(np.array([[1.0, 2.0], [3.0, 4.0]]))))
        [[2. 1.]
         [4. 3.]]
    """

    def __init__(
        self,
        function: Callable[..., Any] | str,
        mode: Mode = "auto",
        chunk_size: int | None = None,
        output_spec: Any = None,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        check_choice("SampleMap", "mode", mode, get_args(Mode))
        if chunk_size is not None:
            check_sizes("SampleMap", chunk_size=chunk_size)
        self.function = resolve_function("SampleMap", "function", function)
        if isinstance(self.function, keras.layers.Layer):
            raise ValueError(
                f"SampleMap: {self.function.name} is a layer, and a layer takes batches; call the layer directly, or "
                "pass a function of one sample."
            )
        self.mode = mode
        self.chunk_size = chunk_size
        self.output_spec = output_spec
        self.seed = seed
        self.supports_masking = accepts_argument(self.function, "mask")
        self.takes_training = accepts_argument(self.function, "training")
        self.seed_generator: Any = keras.random.SeedGenerator(seed) if accepts_argument(self.function, "seed") else None
        self._strategies: dict[str, dict[bool, Strategy]] = {}

    def call(self, inputs: Any, mask: Any = None, training: bool | None = None) -> Any:
        """Return the output of the function for each sample."""
        samples = self._samples(inputs, mask)
        strategy = self._strategy(samples, training)
        if strategy.draws and strategy.mode != "batched":
            samples["seed"] = sample_keys(row_count(samples), self.seed_generator, self._keys_dtype())
        outputs = self._apply(strategy.mode, samples, training)
        self._check_outputs(outputs)
        return outputs

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> None:  # noqa: ARG002 - Keras's signature
        """Return None: the function has used the mask, and the outputs carry none."""
        return

    def compute_output_spec(self, inputs: Any, mask: Any = None, training: bool | None = None) -> Any:
        """Return `output_spec` with a batch axis; without `output_spec`, trace the call."""
        if self.output_spec is None:
            return super().compute_output_spec(inputs, mask=mask, training=training)
        rows = tree.flatten(inputs)[0].shape[0]
        return tree.map_structure(lambda one: keras.KerasTensor((rows, *one.shape), one.dtype), self.output_spec)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments, with functions of `keras.ops` as names."""
        return {
            **super().get_config(),
            "function": serialize_function(self.function),
            "mode": self.mode,
            "chunk_size": self.chunk_size,
            "output_spec": keras.saving.serialize_keras_object(self.output_spec),
            "seed": self.seed,
        }

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> "SampleMap":
        """Create the layer from the result of `get_config`."""
        own = {name: keras.saving.deserialize_keras_object(config[name]) for name in ("function", "output_spec")}
        return cls(**{**config, **own})

    def _samples(self, inputs: Any, mask: Any) -> dict[str, Any]:
        masks = tree.flatten(mask)
        if not self.supports_masking or all(one is None for one in masks):
            return {"inputs": inputs}
        if any(one is None for one in masks):
            raise ValueError("SampleMap: some inputs have a mask and some have none; pass a mask for every input.")
        return {"inputs": inputs, "mask": mask}

    def _strategy(self, samples: dict[str, Any], training: bool | None) -> Strategy:
        if self.mode != "auto":
            return Strategy(self.mode, self.seed_generator is not None)
        key = str([(len(tensor.shape), tensor.dtype) for tensor in tree.flatten(samples)])
        if key not in self._strategies:
            signature = tree.map_structure(lambda tensor: keras.KerasTensor(tensor.shape, tensor.dtype), samples)
            with backends.current().eagerly(), keras.StatelessScope():
                requested = self._choose_strategy(signature, bool(training))
                other = self._choose_strategy(signature, not training) if self.takes_training else requested
                self._strategies[key] = {bool(training): requested, not training: other}
        return self._strategies[key][bool(training)]

    def _keys_dtype(self) -> str:
        return "" if self.seed_generator is None else str(self.seed_generator.state.dtype)

    def _choose_strategy(self, signature: dict[str, Any], training: bool | None) -> Strategy:
        """Return the fastest mode that gives the results of a loop over the samples of small random batches."""
        trials = trial_batches(signature, self._keys_dtype())
        on_sample = partial(self._on_sample, training=training)
        try:
            draws = self._draws(trials[0], training)
            is_repeatable = matches_loop(partial(apply_in_loop, on_sample), on_sample, trials)
        except Exception as error:
            shapes = ", ".join(str(spec.shape[1:]) for spec in tree.flatten(signature))
            raise ValueError(
                f"SampleMap: the function fails on a random sample of shape {shapes} ({error}); correct the function, "
                "or pass a mode other than 'auto'."
            ) from error
        if not is_repeatable:
            raise ValueError(
                "SampleMap: the function gives different results for the same sample; give it an argument `seed`, and "
                "pass that to the functions of keras.random."
            )
        modes = get_args(ConcreteMode)
        for mode in modes[1:] if draws else modes:  # in batched mode, all samples would share one seed
            if matches_loop(partial(self._apply_mode, mode, training=training), on_sample, trials):
                return Strategy(mode, draws)
        raise ValueError(
            "SampleMap: the function works sample by sample in Python, but fails or gives different results in every "
            "mode; replace Python conditions on tensor values by ops.cond or ops.where."
        )

    def _draws(self, samples: Samples, training: bool | None) -> bool:
        """Whether the function draws random numbers for the first sample."""
        first = tree.map_structure(lambda tensor: tensor[0], dict(samples))
        seed = SampleSeed(first.get("seed"))
        self._call(first, training, seed)
        return seed.drawn > 0

    def _apply(self, mode: ConcreteMode, samples: dict[str, Any], training: bool | None) -> Any:
        apply = partial(self._apply_mode, mode, training=training)
        rows = row_count(samples)
        is_known = isinstance(rows, int)
        if is_known and rows == 0:
            return apply_to_empty_batch(apply, samples)
        if self.chunk_size and mode != "map" and not (is_known and rows <= self.chunk_size):
            return apply_in_chunks(apply, samples, self.chunk_size)
        return apply(samples)

    def _apply_mode(self, mode: ConcreteMode, samples: dict[str, Any], training: bool | None) -> Any:
        on_sample = partial(self._on_sample, training=training)
        if mode == "batched":
            return self._call(samples, training, self.seed_generator)
        return (apply_vectorized if mode == "vectorized" else apply_map)(on_sample, samples)

    def _on_sample(self, sample: Mapping[str, Any], training: bool | None) -> Any:
        return self._call(sample, training, SampleSeed(sample.get("seed")))

    def _call(self, sample: Mapping[str, Any], training: bool | None, seed: Any) -> Any:
        options = {"mask": sample["mask"]} if "mask" in sample else {}
        if self.takes_training:
            options["training"] = training
        if self.seed_generator is not None:
            options["seed"] = seed
        return self.function(sample["inputs"], **options)

    def _check_outputs(self, outputs: Any) -> None:
        if self.output_spec is None:
            return
        expected = [(tuple(spec.shape), spec.dtype) for spec in tree.flatten(self.output_spec)]
        seen = [
            (tuple(tensor.shape)[1:], keras.backend.standardize_dtype(tensor.dtype)) for tensor in tree.flatten(outputs)
        ]
        if not _matches_spec(seen, expected):
            raise ValueError(
                f"SampleMap: the function returned {seen} for a sample, but output_spec is {expected}; correct one of "
                "them."
            )


@case(inputs=(None, 5), others=OTHERS)
@keras.saving.register_keras_serializable(package="layerwright")
class BatchAwareSquare(SampleMap):
    """`SampleMap` of `ops.square`, under the name that articles use.

    Arguments, shapes and errors are the same as for `SampleMap`.

    Example:
        >>> import keras
        >>> import numpy as np
        >>> from layerwright.layers import BatchAwareSquare
        >>> print(keras.ops.convert_to_numpy(BatchAwareSquare()(np.array([[1.0, 2.0], [3.0, 4.0]]))))
        [[ 1.  4.]
         [ 9. 16.]]
    """

    def __init__(self, function: Callable[..., Any] | str = "square", **kwargs: Any) -> None:
        super().__init__(function, **kwargs)


def reference(function: Callable[[Any], Any], inputs: Any) -> Any:
    """Return the outputs in float64 NumPy, for a NumPy function."""
    return np.stack([function(sample) for sample in np.asarray(inputs, "float64")])


def _matches_spec(seen: list[Any], expected: list[Any]) -> bool:
    return len(seen) == len(expected) and all(
        dtype == other
        and len(shape) == len(sizes)
        and all(b is None or a in (b, None) for a, b in zip(shape, sizes, strict=True))
        for (shape, dtype), (sizes, other) in zip(seen, expected, strict=True)
    )


CASES = declared_cases(SampleMap) + declared_cases(BatchAwareSquare)

__all__ = ["BatchAwareSquare", "SampleMap"]
