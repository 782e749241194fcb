"""Train networks to represent a photograph: sine layers learn details that ReLU layers blur.

An implicit neural representation is a network that maps the position of a pixel to its colour (Sitzmann et al. 2020).
Three networks of equal size learn a photograph from scikit-learn. Their hidden layers are `SineDense`, `Dense` with
ReLU, and sine layers with Keras's default initializer, as in many articles. The script saves the learned pictures.

    KERAS_BACKEND=jax python examples/image_network.py [--short]
"""

import argparse
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import ops
from sklearn.datasets import load_sample_image

from layerwright.layers import SineDense

Array = np.ndarray[Any, Any]
WIDTH, DEPTH = 128, 3


def load(stride: int) -> tuple[Array, Array, tuple[int, int]]:
    """Return positions `(pixels, 2)` and colours `(pixels, 3)`, both in [-1, 1], and the picture's height and width."""
    image = load_sample_image("flower.jpg")[::stride, ::stride].astype("float32") / 127.5 - 1
    height, width = image.shape[:2]
    rows, columns = np.meshgrid(np.linspace(-1, 1, height), np.linspace(-1, 1, width), indexing="ij")
    return np.stack([rows, columns], -1).reshape(-1, 2).astype("float32"), image.reshape(-1, 3), (height, width)


def sines() -> list[keras.layers.Layer]:
    """Return the hidden layers of a SIREN."""
    return [SineDense(WIDTH, is_first=number == 0) for number in range(DEPTH)]


def naive_sines() -> list[keras.layers.Layer]:
    """Return sine layers with Keras's default initializer."""
    return [keras.layers.Dense(WIDTH, activation=lambda x: ops.sin(30.0 * x)) for _ in range(DEPTH)]


def relus() -> list[keras.layers.Layer]:
    """Return ReLU layers."""
    return [keras.layers.Dense(WIDTH, activation="relu") for _ in range(DEPTH)]


NETWORKS: dict[str, Callable[[], list[keras.layers.Layer]]] = {
    "SineDense": sines,
    "sines, Glorot": naive_sines,
    "ReLU": relus,
}


def learn(name: str, positions: Array, colours: Array, epochs: int) -> tuple[Array, float]:
    """Train a network; return its predicted colours and the peak signal-to-noise ratio in decibels."""
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((2,)), *NETWORKS[name](), keras.layers.Dense(3)])
    rate = 1e-3 if name == "ReLU" else 5e-4
    model.compile(keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(rate, epochs * 4)), "mse")
    model.fit(positions, colours, batch_size=math.ceil(len(positions) / 4), epochs=epochs, verbose=0)
    learned = model.predict(positions, batch_size=len(positions), verbose=0)
    return learned, 10 * math.log10(
        4 / float(np.mean((learned - colours) ** 2))
    )  # the peak squared is 4, since colours span 2


def draw(pictures: dict[str, Array], path: Path) -> None:
    """Save the pictures side by side in one image."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4 * len(pictures), 3.2), layout="constrained")
    for axes, (title, picture) in zip(np.atleast_1d(figure.subplots(1, len(pictures))), pictures.items(), strict=True):
        axes.imshow(np.clip((picture + 1) / 2, 0, 1))
        axes.set_title(title)
        axes.set_axis_off()
    figure.savefig(path, dpi=100)


def main(short: bool = False, folder: Path = Path()) -> dict[str, float]:
    """Train all networks, print their signal-to-noise ratios, and save the learned pictures."""
    positions, colours, size = load(stride=16 if short else 4)
    pictures = {"photograph": colours.reshape(*size, 3)}
    ratios = {}
    print(f"{size[0]} by {size[1]} pixels, {DEPTH} hidden layers of {WIDTH}")
    for name in NETWORKS:
        learned, ratios[name] = learn(name, positions, colours, epochs=60 if short else 400)
        pictures[f"{name}: {ratios[name]:.1f} dB"] = learned.reshape(*size, 3)
        print(f"{name:<16}{ratios[name]:>6.1f} dB", flush=True)
    draw(pictures, folder / "image_network.png")
    print(f"Saved the pictures to {folder / 'image_network.png'}.")
    return ratios


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--short", action="store_true", help="use a small picture and train for a few epochs only")
    main(parser.parse_args().short)
