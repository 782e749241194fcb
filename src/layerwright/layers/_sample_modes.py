"""Ways to apply a function of one sample to every sample of a batch, and the test that compares them."""

import itertools
import math
from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np
from keras import ops, tree

from layerwright import backends

Samples = Mapping[str, Any]
UNKNOWN_SIZE = 12  # divisible by 2, 3 and 4, by which many functions reshape
BATCH_SIZES = (6, 3)
TOLERANCES = {"float16": 1e-2, "bfloat16": 1e-1}


class SampleSeed(keras.random.SeedGenerator):
    """The seed of one sample, for the functions of `keras.random`.

    It has no variable, so that it works inside a vectorized or mapped function.

    Attributes:
        drawn: The number of draws so far.
    """

    def __init__(self, key: Any) -> None:  # the parent's constructor would create a variable
        self._key = key
        self.drawn = 0

    def next(self, ordered: bool = True) -> Any:  # noqa: ARG002 - the parent's signature
        """Return the key for the next draw."""
        if self._key is None:
            raise ValueError(
                "SampleMap: the function draws random numbers, but it drew none when mode='auto' tested it; pass "
                "mode='vectorized' or mode='map'."
            )
        self.drawn += 1
        return self._key + ops.convert_to_tensor([0, self.drawn], self._key.dtype)


def sample_keys(rows: Any, seed: keras.random.SeedGenerator | int, dtype: str) -> Any:
    """Draw one key `(2,)` for each row of a batch, in the dtype of the backend's seeds."""
    return ops.cast(keras.random.randint((rows, 2), 0, 2**30, seed=seed), dtype)


def apply_vectorized(function: Callable[[Samples], Any], samples: Samples) -> Any:
    """Apply a function to all samples at once, with the backend's vectorizing transform."""
    return ops.vectorized_map(function, dict(samples))


def apply_map(function: Callable[[Samples], Any], samples: Samples) -> Any:
    """Apply a function to one sample after another, with `ops.map`."""
    return ops.map(function, dict(samples))


def apply_in_loop(function: Callable[[Samples], Any], samples: Samples) -> Any:
    """Apply a function to one sample after another in a Python loop, which needs a known batch size."""
    outputs = [function(_sample_at(samples, row)) for row in range(row_count(samples))]
    return tree.map_structure(lambda *rows: ops.stack(rows), *outputs)


def apply_in_chunks(function: Callable[[Samples], Any], samples: Samples, size: int) -> Any:
    """Apply a function of batches to chunks of `size` rows. Copies of the last row fill the last chunk."""
    rows = row_count(samples)
    chunks = (rows + size - 1) // size
    index = ops.minimum(ops.arange(chunks * size, dtype="int32"), rows - 1)

    def cut(tensor: Any) -> Any:
        return ops.reshape(ops.take(tensor, index, axis=0), (chunks, size, *ops.shape(tensor)[1:]))

    def join(tensor: Any) -> Any:
        return ops.reshape(tensor, (chunks * size, *ops.shape(tensor)[2:]))[:rows]

    return tree.map_structure(join, apply_map(function, tree.map_structure(cut, dict(samples))))


def row_count(samples: Samples) -> Any:
    """Return the size of the batch axis: an integer, or a tensor if it is unknown during tracing."""
    return ops.shape(tree.flatten(samples)[0])[0]


def apply_to_empty_batch(apply: Callable[[Samples], Any], samples: Samples) -> Any:
    """Return the outputs for an empty batch, which not every backend can map: apply to a row of ones and drop it."""
    one = tree.map_structure(lambda tensor: ops.ones((1, *tensor.shape[1:]), tensor.dtype), dict(samples))
    return tree.map_structure(lambda tensor: tensor[:0], apply(one))


def matches_loop(apply: Callable[[Samples], Any], function: Callable[[Samples], Any], trials: list[Samples]) -> bool:
    """Whether `apply` gives the same outputs on the trial batches as the function gives sample by sample."""
    for samples in trials:
        expected = tree.flatten(apply_in_loop(function, samples))
        try:
            actual = tree.flatten(apply(samples))
        except Exception:  # any error on a batch means that this mode is not suitable
            return False
        if len(actual) != len(expected) or not all(itertools.starmap(_are_close, zip(actual, expected, strict=True))):
            return False
    return True


def trial_batches(signature: Samples, keys_dtype: str) -> list[Samples]:
    """Return small random batches of two sizes, with the ranks, known sizes and dtypes of a signature.

    Args:
        signature: A tree of `KerasTensor`.
        keys_dtype: The dtype of the keys for random numbers; an empty string for no keys.
    """
    rng = np.random.default_rng(0)

    def batch(rows: int) -> Samples:
        samples = tree.map_structure(lambda spec: ops.convert_to_tensor(_values(spec, rows, rng)), dict(signature))
        return {**samples, "seed": sample_keys(rows, 1, keys_dtype)} if keys_dtype else samples

    return [batch(rows) for rows in BATCH_SIZES]


def _values(spec: Any, rows: int, rng: np.random.Generator) -> Any:
    """Draw random rows, their negatives, and larger positive rows; for other dtypes than floats, zeros and ones."""
    shape = [UNKNOWN_SIZE if size is None else size for size in spec.shape[1:]]
    dtype = keras.backend.standardize_dtype(spec.dtype)
    if not keras.backend.is_float_dtype(dtype):
        return rng.integers(0, 2, (rows, *shape)).astype(dtype)
    noise = rng.standard_normal((math.ceil(rows / 3), *shape))
    values = np.concatenate([noise, -noise, 3 * np.abs(noise)])[:rows]
    return ops.cast(values.astype("float32"), dtype)


def _sample_at(samples: Samples, row: int) -> Samples:
    return tree.map_structure(lambda tensor: tensor[row], dict(samples))  # type: ignore[no-any-return]


def _are_close(actual: Any, expected: Any) -> bool:
    dtype = keras.backend.standardize_dtype(expected.dtype)
    if keras.backend.standardize_dtype(actual.dtype) != dtype or actual.shape != expected.shape:
        return False
    left, right = _to_numpy(actual), _to_numpy(expected)
    tolerance = TOLERANCES.get(dtype, 1e-4)
    scale = np.max(np.abs(right), initial=0.0, where=np.isfinite(right))
    return bool(np.allclose(left, right, tolerance, tolerance * scale, equal_nan=True))


def _to_numpy(tensor: Any) -> Any:
    with backends.current().inference():
        return ops.convert_to_numpy(ops.cast(tensor, "float32"))
