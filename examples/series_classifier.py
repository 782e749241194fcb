"""Classify spoken vowels from series of different lengths, and see what padding does without a mask.

JapaneseVowels: 270 series to train on and 370 to test on, of nine speakers, 12 channels, 7 to 29 steps (Kudo, Toyama,
Shimbo 1999). Two causal convolutions, an average over time, one dense layer. Run it with `python series_classifier.py`.
"""

from collections.abc import Sequence
from functools import cache
from typing import Any

import keras
import numpy as np
from aeon.datasets import load_japanese_vowels

from layerwright.layers import CausalConv1D, MaskedAverage

Array = np.ndarray[Any, Any]
FILTERS = 64


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
    """Return the network. Without `masked` it is the same one of Keras's own layers, which see the padding."""
    series, mask = keras.Input((None, 12), name="series"), keras.Input((None,), dtype="bool", name="mask")
    if masked:
        hidden = CausalConv1D(FILTERS)(series, mask=mask)  # from here the mask travels with the tensors
        hidden = CausalConv1D(FILTERS)(hidden)
        pooled = MaskedAverage()(hidden)
    else:
        hidden = keras.layers.Conv1D(FILTERS, 3, padding="causal", activation="relu")(series)
        hidden = keras.layers.Conv1D(FILTERS, 3, padding="causal", activation="relu")(hidden)
        pooled = keras.layers.GlobalAveragePooling1D()(hidden)
    return keras.Model({"series": series, "mask": mask}, keras.layers.Dense(9)(pooled))


def train(
    masked: bool = True, epochs: int = 60, seed: int = 0, verbose: int = 0, callbacks: Sequence[keras.callbacks.Callback] = ()
) -> keras.Model:
    """Return the network, trained from this seed."""
    keras.utils.set_random_seed(seed)
    model = build_model(masked)
    series, mask, speakers = load("train")
    steps = epochs * -(-len(series) // 16)
    model.compile(
        keras.optimizers.AdamW(keras.optimizers.schedules.CosineDecay(4e-3, steps)),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    inputs = {"series": series, "mask": mask}
    model.fit(inputs, speakers, batch_size=16, epochs=epochs, verbose=verbose, callbacks=list(callbacks))
    return model


def accuracy(model: keras.Model, split: str = "test", padding_length: int | None = None, fill: float = 0.0) -> float:
    """Return the share of series whose speaker is recognised."""
    series, mask, speakers = load(split, padding_length, fill)
    scores = model.predict({"series": series, "mask": mask}, batch_size=len(series), verbose=0)
    return float(np.mean(scores.argmax(axis=-1) == speakers))
