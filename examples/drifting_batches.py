"""See inside `fit` at which batch the data changed: `BatchDelta` on real digits whose scanner drifts.

The stream is scikit-learn's digits in batches of 64. From batch 15 of 28 on, every image is darker by a tenth, as when
a lamp ages. A model reads, with `BatchDelta(reduce="mean")`, how far each batch lies from the mean of the one before;
its loss is that distance, so that `fit` itself reports it batch by batch. The state lives in the compiled step.

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
    """Return the digits in a random order, whole batches only, darker from batch `CHANGED` on."""
    digits, _ = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(digits))[: len(digits) // BATCH * BATCH]
    stream = (digits[order] / 16).astype("float32")
    stream[CHANGED * BATCH :] += DARKER
    return stream


def distance(_: Any, deltas: Any) -> Any:
    """Return how far the batch's mean lies from the mean of the batch before."""
    return ops.sqrt(ops.sum(ops.square(ops.mean(deltas, axis=0))))


def main() -> list[float]:
    """Stream the digits through `fit`, and print the distance of each batch from the one before."""
    stream = load()
    inputs = keras.Input((64,))
    model = keras.Model(inputs, BatchDelta(BATCH, reduce="mean")(inputs))
    model.compile("sgd", loss=distance)
    distances: list[float] = []

    def note(batch: int, logs: dict[str, float]) -> None:
        total = logs["loss"] * (batch + 1)  # fit reports the mean so far
        distances.append(total - sum(distances))

    callback = keras.callbacks.LambdaCallback(on_train_batch_end=note)
    model.fit(stream, np.zeros(len(stream)), batch_size=BATCH, shuffle=False, verbose=0, callbacks=[callback])
    for batch, each in enumerate(distances):
        print(f"batch {batch:>2}  {each:5.2f}  {'#' * round(30 * each)}")
    print(f"The greatest change came with batch {int(np.argmax(distances))}; the lamp aged at batch {CHANGED}.")
    return distances


if __name__ == "__main__":
    main()
