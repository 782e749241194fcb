"""`SampleMap`: one function of a sample, applied to each sample of a batch."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Literal, NamedTuple, get_args

import keras
import numpy as np
from keras import ops, tree

from layerwright import backends
from layerwright.core.case import InputSpec, case, declared_cases
from layerwright.layers._arguments import check_choice, check_sizes
from layerwright.layers._functions import serialize_function, resolve_function, accepts_argument
from layerwright.layers._sample_functions import centered, masked_total
from layerwright.layers._sample_modes import (
    Samples,
    SampleSeed,
    equals_one_by_one,
    in_chunks,
    mapped,
    one_by_one,
    row_count,
    sample_keys,
    tiny_batches,
    vectorized,
    without_rows,
)

Mode = Literal["auto", "batched", "vectorized", "map"]
Way = Literal["batched", "vectorized", "map"]


class Plan(NamedTuple):
    """How to apply a function, and whether it draws random numbers."""

    way: Way
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
    """Apply a function of one sample to each sample.

        y[i] = f(x[i])

    f is called in one of three ways: `"batched"`, on the whole batch, which is right for functions that never reach
    across the batch axis, such as `ops.square`, and quickest; `"vectorized"`, by the backend's vectorising transform;
    `"map"`, on one sample after another, which is slow and always right. `"auto"` takes the first of these that gives,
    on two tiny random batches, what f gives sample by sample. It asks once for each combination of ranks and dtypes,
    before anything is compiled.

    If f has an argument of that name, it is given `mask`, the sample's own mask, which the layer then consumes;
    `training`; and `seed`, the sample's own, for the functions of `keras.random`, so that no two samples share their
    randomness.

    The naive version loops with `tf.map_fn`, whose gradient under XLA is a thousand times slower than that of the
    vectorised function, is bound to one backend, loses the output's shape and draws one seed for all samples.

    Args:
        function: f, from a sample or a tree of them to a tensor or a tree of them: a function of `keras.ops`, or its
            name, or one registered with `keras.saving.register_keras_serializable`, without which a saved model does
            not load. No layer: those take batches.
        mode: `"auto"`, `"batched"`, `"vectorized"` or `"map"`.
        chunk_size: The most samples to hold at once in the first two ways; None for all.
        output_spec: What f returns for one sample, as `keras.KerasTensor` or a tree of them. By default f is traced.
        seed: A whole number that makes the randomness repeat.
        **kwargs: Those of every Keras layer, such as `name` and `dtype`.

    Call arguments:
        inputs: `(batch, …)` or a tree of such tensors.
        mask: `(batch, …)` or a tree, if f has an argument `mask`. By default the mask that travels with the inputs.

    Output: `(batch, …)`, what f returns for each sample.

    Raises:
        ValueError: If an argument is not one of those above, f fails on a single sample, gives other results when
            called again, cannot be applied in the way asked for, or returns something other than `output_spec`.

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
                f"SampleMap: {self.function.name} is a layer and takes batches as it is; wrap it in a function of one "
                "sample if that is not what you want."
            )
        self.mode = mode
        self.chunk_size = chunk_size
        self.output_spec = output_spec
        self.seed = seed
        self.supports_masking = accepts_argument(self.function, "mask")
        self.takes_training = accepts_argument(self.function, "training")
        self.seed_generator: Any = keras.random.SeedGenerator(seed) if accepts_argument(self.function, "seed") else None
        self._plans: dict[str, dict[bool, Plan]] = {}

    def call(self, inputs: Any, mask: Any = None, training: bool | None = None) -> Any:
        """Return what the function makes of each sample."""
        samples = self._samples(inputs, mask)
        plan = self._plan(samples, training)
        if plan.draws and plan.way != "batched":
            samples["seed"] = sample_keys(row_count(samples), self.seed_generator, self._keys_dtype())
        outputs = self._apply(plan.way, samples, training)
        self._check_outputs(outputs)
        return outputs

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> None:  # noqa: ARG002 - Keras's signature
        """Return None: the function has seen the mask."""
        return

    def compute_output_spec(self, inputs: Any, mask: Any = None, training: bool | None = None) -> Any:
        """Return `output_spec` with the batch axis before it; by default trace the call."""
        if self.output_spec is None:
            return super().compute_output_spec(inputs, mask=mask, training=training)
        rows = tree.flatten(inputs)[0].shape[0]
        return tree.map_structure(lambda one: keras.KerasTensor((rows, *one.shape), one.dtype), self.output_spec)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments, functions of `keras.ops` by their names."""
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
        """Make the layer from what `get_config` returned."""
        own = {name: keras.saving.deserialize_keras_object(config[name]) for name in ("function", "output_spec")}
        return cls(**{**config, **own})

    def _samples(self, inputs: Any, mask: Any) -> dict[str, Any]:
        masks = tree.flatten(mask)
        if not self.supports_masking or all(one is None for one in masks):
            return {"inputs": inputs}
        if any(one is None for one in masks):
            raise ValueError("SampleMap: of several inputs, some have a mask and some have none; give all of them one.")
        return {"inputs": inputs, "mask": mask}

    def _plan(self, samples: dict[str, Any], training: bool | None) -> Plan:
        if self.mode != "auto":
            return Plan(self.mode, self.seed_generator is not None)
        key = str([(len(tensor.shape), tensor.dtype) for tensor in tree.flatten(samples)])
        if key not in self._plans:
            signature = tree.map_structure(lambda tensor: keras.KerasTensor(tensor.shape, tensor.dtype), samples)
            with backends.current().eagerly(), keras.StatelessScope():
                asked = self._proved(signature, bool(training))
                other = self._proved(signature, not training) if self.takes_training else asked
                self._plans[key] = {bool(training): asked, not training: other}
        return self._plans[key][bool(training)]

    def _keys_dtype(self) -> str:
        return "" if self.seed_generator is None else str(self.seed_generator.state.dtype)

    def _proved(self, signature: dict[str, Any], training: bool | None) -> Plan:
        trials = tiny_batches(signature, self._keys_dtype())
        on_sample = partial(self._on_sample, training=training)
        try:
            draws = self._draws(trials[0], training)
            repeats = equals_one_by_one(partial(one_by_one, on_sample), on_sample, trials)
        except Exception as error:
            shapes = ", ".join(str(spec.shape[1:]) for spec in tree.flatten(signature))
            raise ValueError(
                f"SampleMap: the function fails on a random sample of shape {shapes} ({error}); mend it, or pass the "
                "mode that suits it."
            ) from error
        if not repeats:
            raise ValueError(
                "SampleMap: the function gives other results when called again on the same sample; let it take an "
                "argument `seed`, to be passed on to keras.random."
            )
        ways = get_args(Way)[1:] if draws else get_args(Way)  # a batch at once would share one seed
        for way in ways:
            if equals_one_by_one(partial(self._at_once, way, training=training), on_sample, trials):
                return Plan(way, draws)
        raise ValueError(
            "SampleMap: the function works on single samples, but can neither be given a batch nor be traced; use "
            "keras.ops for what depends on values, such as ops.cond and ops.where."
        )

    def _draws(self, samples: Samples, training: bool | None) -> bool:
        """Whether the function draws random numbers for the first sample."""
        first = tree.map_structure(lambda tensor: tensor[0], dict(samples))
        seed = SampleSeed(first.get("seed"))
        self._call(first, training, seed)
        return seed.drawn > 0

    def _apply(self, way: Way, samples: dict[str, Any], training: bool | None) -> Any:
        apply = partial(self._at_once, way, training=training)
        rows = row_count(samples)
        if not isinstance(rows, int):
            return in_chunks(apply, samples, self.chunk_size) if self.chunk_size and way != "map" else apply(samples)
        if rows == 0:
            return without_rows(apply, samples)
        if self.chunk_size and rows > self.chunk_size and way != "map":
            return in_chunks(apply, samples, self.chunk_size)
        return apply(samples)

    def _at_once(self, way: Way, samples: dict[str, Any], training: bool | None) -> Any:
        on_sample = partial(self._on_sample, training=training)
        if way == "batched":
            return self._call(samples, training, self.seed_generator)
        return (vectorized if way == "vectorized" else mapped)(on_sample, samples)

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
        wanted = [(tuple(spec.shape), spec.dtype) for spec in tree.flatten(self.output_spec)]
        seen = [
            (tuple(tensor.shape)[1:], keras.backend.standardize_dtype(tensor.dtype)) for tensor in tree.flatten(outputs)
        ]
        if not _fits(seen, wanted):
            raise ValueError(f"SampleMap: the function returned {seen} for a sample; output_spec says {wanted}.")


@case(inputs=(None, 5), others=OTHERS)
@keras.saving.register_keras_serializable(package="layerwright")
class BatchAwareSquare(SampleMap):
    """`SampleMap` of `ops.square`, under the name that articles give it.

    Arguments, shapes and errors are those of `SampleMap`.

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
    """The same in float64 NumPy, of a NumPy function."""
    return np.stack([function(sample) for sample in np.asarray(inputs, "float64")])


def _fits(seen: list[Any], wanted: list[Any]) -> bool:
    return len(seen) == len(wanted) and all(
        dtype == other
        and len(shape) == len(sizes)
        and all(b is None or a in (b, None) for a, b in zip(shape, sizes, strict=True))
        for (shape, dtype), (sizes, other) in zip(seen, wanted, strict=True)
    )


CASES = declared_cases(SampleMap) + declared_cases(BatchAwareSquare)
