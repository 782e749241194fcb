"""Detect during `fit` at which batch the data changed, with `BatchDelta`.

The data are scikit-learn's digits in 28 batches of 64. From batch 15 on, every pixel is darker by 0.1, as if the lamp
of a scanner had aged. The model is `BatchDelta(reduce="mean")`, which subtracts the mean of the previous batch. Its
loss is the distance between the means of consecutive batches, so `fit` reports this distance for each batch.

    KERAS_BACKEND=jax python examples/drifting_batches.py
"""

from typing import Any

import keras
import numpy as np
from keras import ops
from sklearn.datasets import load_digits

from layerwright.layers import BatchDelta

Array = np.ndarray[Any, Any]
BATCH, CHANGED, DARKER = 64, 15, 0.1


def load() -> Array:
    """Return the digits in random order, in complete batches, darker from batch `CHANGED` on."""
    digits, _ = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(digits))[: len(digits) // BATCH * BATCH]
    stream = (digits[order] / 16).astype("float32")
    stream[CHANGED * BATCH :] += DARKER
    return stream


def distance(_: Any, deltas: Any) -> Any:
    """Return the distance between the mean of the batch and the mean of the previous batch."""
    return ops.sqrt(ops.sum(ops.square(ops.mean(deltas, axis=0))))


def main() -> list[float]:
    """Pass the digits through `fit`, and print the distance of each batch from the previous one."""
    stream = load()
    inputs = keras.Input((64,))
    model = keras.Model(inputs, BatchDelta(BATCH, reduce="mean")(inputs))
    model.compile("sgd", loss=distance)
    distances: list[float] = []

    def store_distance(batch: int, logs: dict[str, float]) -> None:
        total = logs["loss"] * (batch + 1)  # `fit` reports the mean over the batches so far
        distances.append(total - sum(distances))

    callback = keras.callbacks.LambdaCallback(on_train_batch_end=store_distance)
    model.fit(stream, np.zeros(len(stream)), batch_size=BATCH, shuffle=False, verbose=0, callbacks=[callback])
    for batch, each in enumerate(distances):
        print(f"batch {batch:>2}  {each:5.2f}  {'#' * round(30 * each)}")
    print(f"The largest change is at batch {int(np.argmax(distances))}; the data changed at batch {CHANGED}.")
    return distances


if __name__ == "__main__":
    main()
