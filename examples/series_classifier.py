"""Classify series of different lengths, and show how padding affects a network without masks.

The data are JapaneseVowels (Kudo, Toyama and Shimbo 1999): nine speakers, 270 training and 370 test series, 12
channels, 7 to 29 steps. The task is to identify the speaker. The first network has two causal convolutions, an average
over time and a dense layer. The second network has the same structure but ignores the mask. With `--attention`, a third
network uses self-attention instead of the second convolution. If test series are padded as in training, all networks
have similar accuracy. With other padding, the network without masks fails.

    KERAS_BACKEND=jax python examples/series_classifier.py
    KERAS_BACKEND=jax python examples/series_classifier.py --attention --seeds 3
"""

import argparse
import math
from collections.abc import Sequence
from functools import cache
from typing import Any

import keras
import numpy as np
from aeon.datasets import load_japanese_vowels

from layerwright.layers import CausalConv1D, MaskedAverage, SelfAttention

Array = np.ndarray[Any, Any]
SPEAKERS, FILTERS, BATCH = 9, 64, 32


@cache
def load(split: str, padding_length: int | None = None, fill: float = 0.0) -> tuple[Array, Array, Array]:
    """Return series `(batch, time, 12)`, masks `(batch, time)` and labels `(batch,)` of the split "train" or "test".

    The series are padded with `fill` to `padding_length` steps; by default to the length of the longest series.
    """
    ragged, speakers = load_japanese_vowels(split=split)  # each series is (12, time)
    length = padding_length or max(one.shape[1] for one in ragged)
    series = np.full((len(ragged), length, ragged[0].shape[0]), fill, "float32")
    mask = np.arange(length) < np.array([[one.shape[1]] for one in ragged])
    series[mask] = np.concatenate([one.T for one in ragged])
    return series, mask, speakers.astype("int32") - 1


def masked_layers(hidden: Any, mask: Any) -> Any:
    """Apply two causal convolutions and an average, which all exclude the padding."""
    hidden = CausalConv1D(FILTERS)(hidden, mask=mask)
    hidden = CausalConv1D(FILTERS)(keras.layers.Dropout(0.2)(hidden), mask=mask)
    return MaskedAverage()(hidden, mask=mask)


def attentive_layers(hidden: Any, mask: Any) -> Any:
    """Apply the same layers, with self-attention instead of the second convolution."""
    hidden = CausalConv1D(FILTERS)(hidden, mask=mask)
    hidden = keras.layers.Dropout(0.2)(hidden)
    hidden = keras.layers.Add()([hidden, SelfAttention(key_dim=16, num_heads=4, output_dim=FILTERS)(hidden, mask=mask)])
    return MaskedAverage()(keras.layers.LayerNormalization()(hidden), mask=mask)


def plain_layers(hidden: Any, mask: Any) -> Any:  # noqa: ARG001 - ignored on purpose
    """Apply the corresponding layers of Keras, which include the padding."""
    hidden = keras.layers.Conv1D(FILTERS, 3, padding="causal", activation="relu")(hidden)
    hidden = keras.layers.Dropout(0.2)(hidden)
    hidden = keras.layers.Conv1D(FILTERS, 3, padding="causal", activation="relu")(hidden)
    return keras.layers.GlobalAveragePooling1D()(hidden)


NETWORKS = {
    "CausalConv1D and MaskedAverage": masked_layers,
    "Conv1D and GlobalAveragePooling1D": plain_layers,
    "CausalConv1D and SelfAttention": attentive_layers,
}


def build_model(network: str) -> keras.Model:
    """Return the network with this name, not yet trained."""
    known, valid, _ = load("train")
    normalise = keras.layers.Normalization()
    normalise.adapt(known[valid])
    series, mask = keras.Input((None, 12), name="series"), keras.Input((None,), dtype="bool", name="mask")
    pooled = NETWORKS[network](normalise(series), mask)
    scores = keras.layers.Dense(SPEAKERS)(keras.layers.Dropout(0.2)(pooled))
    inputs = {"series": series} if NETWORKS[network] is plain_layers else {"series": series, "mask": mask}
    return keras.Model(inputs, scores)


def train(
    network: str,
    epochs: int = 40,
    seed: int = 0,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    verbose: int = 0,
) -> keras.Model:
    """Return the network with this name, trained with this seed."""
    keras.utils.set_random_seed(seed)
    model = build_model(network)
    series, mask, speakers = load("train")
    steps = epochs * math.ceil(len(series) / BATCH)
    model.compile(
        keras.optimizers.AdamW(keras.optimizers.schedules.CosineDecay(6e-3, steps)),
        keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.1),
    )
    wanted = keras.utils.to_categorical(speakers, SPEAKERS)
    model.fit(
        inputs_of(model, series, mask),
        wanted,
        batch_size=BATCH,
        epochs=epochs,
        callbacks=list(callbacks),
        verbose=verbose,
    )
    return model


def accuracy(model: keras.Model, split: str = "test", padding_length: int | None = None, fill: float = 0.0) -> float:
    """Return the accuracy of the network on a split. `load` describes the padding."""
    series, mask, speakers = load(split, padding_length, fill)
    scores = model.predict(inputs_of(model, series, mask), batch_size=len(series), verbose=0)
    return float(np.mean(scores.argmax(axis=-1) == speakers))


def inputs_of(model: keras.Model, series: Array, mask: Array) -> dict[str, Array]:
    """Return the inputs of the network: the series, and the mask if the network uses it."""
    return {name: values for name, values in {"series": series, "mask": mask}.items() if name in model.input}


def report_loss(name: str, every: int = 10) -> keras.callbacks.Callback:
    """Return a callback that prints the training loss every `every` epochs."""

    def print_loss(epoch: int, logs: dict[str, float]) -> None:
        if (epoch + 1) % every == 0:
            print(f"  {name}: epoch {epoch + 1}, loss {logs['loss']:.3f}", flush=True)

    return keras.callbacks.LambdaCallback(on_epoch_end=print_loss)


def main(attention: bool = False, seeds: int = 1, epochs: int = 40) -> dict[str, tuple[float, float]]:
    """Train the networks; print their median test accuracies with the padding of training and with other padding."""
    figures = {}
    for network in list(NETWORKS)[: 3 if attention else 2]:
        models = [train(network, epochs, seed, callbacks=[report_loss(network)]) for seed in range(seeds)]
        paddings: list[dict[str, Any]] = [{}, {"padding_length": 290, "fill": 50.0}]
        usual, other = (float(np.median([accuracy(model, **padding) for model in models])) for padding in paddings)
        figures[network] = usual, other
    print(f"\n{'test accuracy' + (f', median of {seeds}' if seeds > 1 else ''):<34}", end="")
    print(f"{'padded to 29 with 0':>20}{'to 290 with 50':>20}")
    for network, (usual, other) in figures.items():
        print(f"{network:<34}{usual:>20.1%}{other:>20.1%}")
    return figures


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--attention", action="store_true", help="also train a network with self-attention")
    parser.add_argument("--seeds", type=int, default=1, help="the number of times to train each network")
    arguments = parser.parse_args()
    main(arguments.attention, arguments.seeds)
