"""Compress handwritten digits into four codes each with k-means, and decode them inside a model.

Each digit has 8 by 8 pixels and is cut into four patches of 4 by 4. scikit-learn's KMeans finds a codebook of patches.
A digit is then stored as four code indices, which take two and a half bytes instead of 64. `CodebookDecoder` converts
the indices back to patches, here for pictures and for a classifier that is trained on codes.

    KERAS_BACKEND=jax python examples/codebook_digits.py [--short]
"""

import argparse
import math
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import keras
import numpy as np
from sklearn.cluster import KMeans
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from layerwright.layers import CodebookDecoder

Array = np.ndarray[Any, Any]


def to_patches(digits: Array) -> Array:
    """Cut digits `(batch, 8, 8)` into patches `(batch, 4, 16)`."""
    cut = digits.reshape(-1, 2, 4, 2, 4).transpose(0, 1, 3, 2, 4)
    return cut.reshape(-1, 4, 16)


def to_digits(patches: Array) -> Array:
    """Join patches `(batch, 4, 16)` to digits `(batch, 8, 8)`."""
    return patches.reshape(-1, 2, 2, 4, 4).transpose(0, 1, 3, 2, 4).reshape(-1, 8, 8)


def classifier(codebook: Array) -> keras.Model:
    """Return a model that classifies digits from their codes `(batch, 4)`."""
    codes = keras.Input((4,), dtype="int32")
    patches = CodebookDecoder(codebook, invalid_index=None)(codes)
    hidden = keras.layers.Dense(128, activation="relu")(keras.layers.Flatten()(patches))
    return keras.Model(codes, keras.layers.Dense(10)(keras.layers.Dropout(0.3)(hidden)))


def draw(digits: Array, decoded: Array, path: Path, count: int = 10) -> None:
    """Save a picture of digits, with each decoded digit below the original."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(count, 2.2), layout="constrained")
    for axes, picture in zip(figure.subplots(2, count).flat, [*digits[:count], *decoded[:count]], strict=True):
        axes.imshow(picture, cmap="gray_r", vmin=0, vmax=1)
        axes.set_axis_off()
    figure.suptitle("original digits (top) and digits decoded from four codes (bottom)")
    figure.savefig(path, dpi=100)


def main(short: bool = False, folder: Path = Path()) -> dict[str, float]:
    """Find a codebook, decode digits, train a classifier on codes, print the results and save a picture."""
    digits, labels = load_digits(return_X_y=True)
    digits = digits.reshape(-1, 8, 8).astype("float32") / 16
    train, test, train_labels, test_labels = train_test_split(digits, labels, random_state=0, stratify=labels)
    size = 16 if short else 32
    means = KMeans(size, n_init=1 if short else 10, random_state=0).fit(to_patches(train).reshape(-1, 16))
    codes = {
        name: means.predict(to_patches(part).reshape(-1, 16)).reshape(-1, 4).astype("int32")
        for name, part in (("train", train), ("test", test))
    }
    decoder = CodebookDecoder(means.cluster_centers_.astype("float32"))
    decoded = to_digits(keras.ops.convert_to_numpy(decoder(codes["test"])))

    keras.utils.set_random_seed(0)
    model = classifier(means.cluster_centers_.astype("float32"))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("adam", loss, metrics=["accuracy"])
    model.fit(codes["train"], train_labels, batch_size=32, epochs=3 if short else 40, verbose=0)
    with TemporaryDirectory() as scratch:
        model.save(Path(scratch) / "model.keras")
        model = keras.saving.load_model(Path(scratch) / "model.keras")
    figures = {
        "bits": 4 * math.log2(size),
        "error": float(np.sqrt(np.mean((decoded - test) ** 2))),
        "blank": float(np.sqrt(np.mean((train.mean(0) - test) ** 2))),
        "accuracy": float(model.evaluate(codes["test"], test_labels, verbose=0)[1]),
    }
    print(f"{size} codes: {figures['bits']:.0f} bits per digit, instead of {64 * math.log2(17):.0f}")
    print(f"root mean square error of decoded digits {figures['error']:.3f}, of the mean digit {figures['blank']:.3f}")
    print(f"test accuracy from codes, after saving and loading the model: {figures['accuracy']:.1%}")
    draw(test, decoded, folder / "codebook_digits.png")
    print(f"Saved the picture to {folder / 'codebook_digits.png'}.")
    return figures


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--short", action="store_true", help="use a small codebook and train for a few epochs only")
    main(parser.parse_args().short)
