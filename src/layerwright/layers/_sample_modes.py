"""Ways of applying a function of one sample to every sample of a batch, and the proof that picks one."""

import itertools
import math
from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np
from keras import ops, tree

from layerwright import backends

Samples = Mapping[str, Any]
UNKNOWN_SIZE = 12  # many functions reshape by 2, 3 or 4
BATCH_SIZES = (6, 3)
TOLERANCES = {"float16": 1e-2, "bfloat16": 1e-1}


class SampleSeed(keras.random.SeedGenerator):
    """The seed of one sample: what `keras.random` takes, with no variable behind it, so that it can be mapped over.

    Attributes:
        drawn: How many draws were made from it.
    """

    def __init__(self, key: Any) -> None:  # the parent's would make a variable
        self._key = key
        self.drawn = 0

    def next(self, ordered: bool = True) -> Any:  # noqa: ARG002 - the parent's signature
        """Return the key of the next draw."""
        if self._key is None:
            raise ValueError(
                "SampleMap: the function draws random numbers now and did not when it was tried; pass the mode that "
                "suits it."
            )
        self.drawn += 1
        return self._key + ops.convert_to_tensor([0, self.drawn], self._key.dtype)


def sample_keys(rows: Any, seed: keras.random.SeedGenerator | int, dtype: str) -> Any:
    """Draw one key `(2,)` for each row of a batch, of the dtype that the backend's seeds have."""
    return ops.cast(keras.random.randint((rows, 2), 0, 2**30, seed=seed), dtype)


def vectorized(function: Callable[[Samples], Any], samples: Samples) -> Any:
    """Apply it to all samples at once."""
    return ops.vectorized_map(function, dict(samples))


def mapped(function: Callable[[Samples], Any], samples: Samples) -> Any:
    """Apply it to one sample after another."""
    return ops.map(function, dict(samples))


def one_by_one(function: Callable[[Samples], Any], samples: Samples) -> Any:
    """Apply it in a Python loop, which needs a batch of known size."""
    outputs = [function(_row(samples, row)) for row in range(row_count(samples))]
    return tree.map_structure(lambda *rows: ops.stack(rows), *outputs)


def in_chunks(function: Callable[[Samples], Any], samples: Samples, size: int) -> Any:
    """Apply a function of batches to `size` rows after `size` rows; the last row fills up the last of them."""
    rows = row_count(samples)
    chunks = (rows + size - 1) // size
    index = ops.minimum(ops.arange(chunks * size, dtype="int32"), rows - 1)

    def cut(tensor: Any) -> Any:
        return ops.reshape(ops.take(tensor, index, axis=0), (chunks, size, *ops.shape(tensor)[1:]))

    def join(tensor: Any) -> Any:
        return ops.reshape(tensor, (chunks * size, *ops.shape(tensor)[2:]))[:rows]

    return tree.map_structure(join, mapped(function, tree.map_structure(cut, dict(samples))))


def row_count(samples: Samples) -> Any:
    """Return the size of the batch axis: a number, or a tensor where it is not yet known."""
    return ops.shape(tree.flatten(samples)[0])[0]


def without_rows(apply: Callable[[Samples], Any], samples: Samples) -> Any:
    """Apply to an empty batch, for which not every backend can map: to one row of ones, of which nothing is kept."""
    one = tree.map_structure(lambda tensor: ops.ones((1, *tensor.shape[1:]), tensor.dtype), dict(samples))
    return tree.map_structure(lambda tensor: tensor[:0], apply(one))


def equals_one_by_one(
    apply: Callable[[Samples], Any], function: Callable[[Samples], Any], trials: list[Samples]
) -> bool:
    """Whether applying to tiny batches gives what the function gives for their samples, one by one."""
    for samples in trials:
        expected = tree.flatten(one_by_one(function, samples))
        try:
            actual = tree.flatten(apply(samples))
        except Exception:  # whatever a function raises on a batch, this is not the way to apply it
            return False
        if len(actual) != len(expected) or not all(itertools.starmap(_same, zip(actual, expected, strict=True))):
            return False
    return True


def tiny_batches(signature: Samples, keys_dtype: str) -> list[Samples]:
    """Return batches of two sizes with the ranks, known sizes and dtypes of a signature: a tree of `KerasTensor`.

    Without keys if they have no dtype.
    """
    rng = np.random.default_rng(0)

    def batch(rows: int) -> Samples:
        samples = tree.map_structure(lambda spec: ops.convert_to_tensor(_values(spec, rows, rng)), dict(signature))
        return {**samples, "seed": sample_keys(rows, 1, keys_dtype)} if keys_dtype else samples

    return [batch(rows) for rows in BATCH_SIZES]


def _values(spec: Any, rows: int, rng: np.random.Generator) -> Any:
    """Draw rows of both signs and of several sizes, each with its negative; zeros and ones where they are no floats."""
    shape = [UNKNOWN_SIZE if size is None else size for size in spec.shape[1:]]
    dtype = keras.backend.standardize_dtype(spec.dtype)
    if not keras.backend.is_float_dtype(dtype):
        return rng.integers(0, 2, (rows, *shape)).astype(dtype)
    noise = rng.standard_normal((math.ceil(rows / 3), *shape))
    values = np.concatenate([noise, -noise, 3 * np.abs(noise)])[:rows]
    return ops.cast(values.astype("float32"), dtype)


def _row(samples: Samples, row: int) -> Samples:
    return tree.map_structure(lambda tensor: tensor[row], dict(samples))  # type: ignore[no-any-return]


def _same(actual: Any, expected: Any) -> bool:
    dtype = keras.backend.standardize_dtype(expected.dtype)
    if keras.backend.standardize_dtype(actual.dtype) != dtype or actual.shape != expected.shape:
        return False
    left, right = _numpy(actual), _numpy(expected)
    tolerance = TOLERANCES.get(dtype, 1e-4)
    scale = np.max(np.abs(right), initial=0.0, where=np.isfinite(right))
    return bool(np.allclose(left, right, tolerance, tolerance * scale, equal_nan=True))


def _numpy(tensor: Any) -> Any:
    with backends.current().inference():
        return ops.convert_to_numpy(ops.cast(tensor, "float32"))
