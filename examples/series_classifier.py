"""Name the speaker of a vowel from series of different lengths, and see what padding does to a network without masks.

JapaneseVowels (Kudo, Toyama and Shimbo 1999): nine speakers, 270 series to train on and 370 to test on, 12 channels,
7 to 29 steps. The network is two causal convolutions, an average over time and a dense layer. Accuracy on series padded
as in training does not tell a network that reads the padding from one that does not; other padding does.

    KERAS_BACKEND=jax python examples/series_classifier.py
"""

import math
from collections.abc import Sequence
from functools import cache
from typing import Any

import keras
import numpy as np
from aeon.datasets import load_japanese_vowels

from layerwright.layers import CausalConv1D, MaskedAverage

Array = np.ndarray[Any, Any]
SPEAKERS, FILTERS, BATCH = 9, 64, 32


@cache
def load(split: str, padding_length: int | None = None, fill: float = 0.0) -> tuple[Array, Array, Array]:
    """Return series `(batch, time, 12)`, their masks `(batch, time)` and labels `(batch,)` of "train" or "test".

    Series are padded with `fill` to `padding_length` steps, by default to the longest.
    """
    ragged, speakers = load_japanese_vowels(split=split)  # each series is (12, time)
    length = padding_length or max(one.shape[1] for one in ragged)
    series = np.full((len(ragged), length, ragged[0].shape[0]), fill, "float32")
    mask = np.arange(length) < np.array([[one.shape[1]] for one in ragged])
    series[mask] = np.concatenate([one.T for one in ragged])
    return series, mask, speakers.astype("int32") - 1


def build_model(masked: bool = True) -> keras.Model:
    """Return the network. Without `masked` it is the same network of Keras's own layers, which see the padding."""
    known, valid, _ = load("train")
    normalise = keras.layers.Normalization()
    normalise.adapt(known[valid])
    series, mask = keras.Input((None, 12), name="series"), keras.Input((None,), dtype="bool", name="mask")
    hidden = normalise(series)
    if masked:
        hidden = CausalConv1D(FILTERS)(hidden, mask=mask)
        hidden = CausalConv1D(FILTERS)(keras.layers.Dropout(0.2)(hidden), mask=mask)
        pooled = MaskedAverage()(hidden, mask=mask)
    else:
        hidden = keras.layers.Conv1D(FILTERS, 3, padding="causal", activation="relu")(hidden)
        hidden = keras.layers.Dropout(0.2)(hidden)
        hidden = keras.layers.Conv1D(FILTERS, 3, padding="causal", activation="relu")(hidden)
        pooled = keras.layers.GlobalAveragePooling1D()(hidden)
    scores = keras.layers.Dense(SPEAKERS)(keras.layers.Dropout(0.2)(pooled))
    return keras.Model({"series": series, "mask": mask}, scores)


def train(
    masked: bool = True,
    epochs: int = 40,
    seed: int = 0,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    verbose: int = 0,
) -> keras.Model:
    """Return the network, trained from this seed."""
    keras.utils.set_random_seed(seed)
    model = build_model(masked)
    series, mask, speakers = load("train")
    steps = epochs * math.ceil(len(series) / BATCH)
    model.compile(
        keras.optimizers.AdamW(keras.optimizers.schedules.CosineDecay(6e-3, steps)),
        keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.1),
    )
    wanted = keras.utils.to_categorical(speakers, SPEAKERS)
    inputs = {"series": series, "mask": mask}
    model.fit(inputs, wanted, batch_size=BATCH, epochs=epochs, callbacks=list(callbacks), verbose=verbose)
    return model


def accuracy(model: keras.Model, split: str = "test", padding_length: int | None = None, fill: float = 0.0) -> float:
    """Return the share of the series of "train" or "test" whose speaker the network names, padded as `load` does."""
    series, mask, speakers = load(split, padding_length, fill)
    scores = model.predict({"series": series, "mask": mask}, batch_size=len(series), verbose=0)
    return float(np.mean(scores.argmax(axis=-1) == speakers))


def report_loss(name: str, every: int = 10) -> keras.callbacks.Callback:
    """Return a callback that prints the training loss each `every` epochs."""

    def after(epoch: int, logs: dict[str, float]) -> None:
        if (epoch + 1) % every == 0:
            print(f"  {name}: epoch {epoch + 1}, loss {logs['loss']:.3f}", flush=True)

    return keras.callbacks.LambdaCallback(on_epoch_end=after)


def main() -> None:
    """Train both networks, and print their accuracies as padded in training and padded differently."""
    rows = []
    for masked, name in ((True, "CausalConv1D and MaskedAverage"), (False, "Conv1D and GlobalAveragePooling1D")):
        model = train(masked, callbacks=[report_loss(name)])
        rows.append(f"{name:<34}{accuracy(model):>20.1%}{accuracy(model, padding_length=290, fill=50.0):>20.1%}")
    print(f"\n{'test accuracy':<34}{'padded to 29 with 0':>20}{'to 290 with 50':>20}", *rows, sep="\n")


if __name__ == "__main__":
    main()
