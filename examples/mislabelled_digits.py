"""Find wrong labels by watching a probe set while a network learns handwritten digits.

The script changes a tenth of the labels of scikit-learn's digits to wrong ones. It uses the training set as the probe
set: every few steps, `Watch` records the network's confidence in each label. Wrong labels get a low mean confidence, so
the list of the least confident samples contains most of them.

    python examples/mislabelled_digits.py            about a minute
    python examples/mislabelled_digits.py --short    a few seconds
    layerwright show runs/mislabelled --html run.html

Data: the test set of "Optical Recognition of Handwritten Digits", Alpaydin and Kaynak 1998, in scikit-learn.
"""

import argparse
from pathlib import Path

import keras
import numpy as np
from sklearn.datasets import load_digits

import layerwright as lw

SHARE_WRONG = 0.1


def main(short: bool = False, seed: int = 0, folder: Path = Path("runs/mislabelled")) -> dict[str, float]:
    """Train, and return the fraction of wrong labels among the least confident samples and among all samples."""
    keras.utils.set_random_seed(seed)
    x, labels, is_wrong = digits(seed, samples=300 if short else 1797)
    watch = lw.Watch(
        "hidden*",
        every=5 if short else 20,
        probe=lw.Probe(x, labels, ids=[f"digit {number}" for number in range(len(x))]),
        sinks=[folder],
        rules=[lw.NonFinite(), lw.DeadUnits(0.9)],
    )
    network().fit(x, labels, batch_size=32, epochs=8 if short else 15, verbose=0, callbacks=[watch])

    suspects = watch.history.samples_to_pandas()["id"].str.removeprefix("digit ").astype(int).to_numpy()
    figures = {"precision": float(is_wrong[suspects[: is_wrong.sum()]].mean()), "chance": float(is_wrong.mean())}
    print(f"Wrong labels among the {is_wrong.sum()} least confident samples: {figures['precision']:.1%}", end=" ")
    print(f"(among all {len(x)} samples: {figures['chance']:.1%})")
    print(f"To see the recorded run: layerwright show {folder} --html run.html")
    return figures


def digits(seed: int, samples: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return images `(samples, 64)`, their labels, and which of the labels are wrong."""
    x, labels = load_digits(return_X_y=True)
    x, labels = (x[:samples] / 16).astype("float32"), labels[:samples]
    rng = np.random.default_rng(seed)
    is_wrong = rng.permutation(len(x)) < SHARE_WRONG * len(x)
    wrong = (labels + rng.integers(1, 10, len(x))) % 10
    return x, np.where(is_wrong, wrong, labels), is_wrong


def network() -> keras.Model:
    """Return a small classifier."""
    model = keras.Sequential(
        [
            keras.Input((64,)),
            keras.layers.Dense(64, activation="relu", name="hidden1"),
            keras.layers.Dense(64, activation="relu", name="hidden2"),
            keras.layers.Dense(10, activation="softmax", name="digit"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy")
    return model


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--short", action="store_true", help="use fewer samples and epochs")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, default=Path("runs/mislabelled"))
    main(**vars(parser.parse_args()))
