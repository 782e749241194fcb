"""Add losses inside a network: a penalty that makes hidden units sparse, and an auxiliary classifier.

Both networks classify scikit-learn's digits. In the first, `IntermediateOutput` adds a penalty on the outputs of a
hidden layer: most outputs become zero, and the accuracy stays. In the second, `tap` trains an additional classifier on
the first hidden layer, and then reads its accuracy.

    KERAS_BACKEND=jax python examples/auxiliary_loss.py [--short]
"""

import argparse
from typing import Any

import keras
import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from layerwright.layers import IntermediateOutput, tap

Array = np.ndarray[Any, Any]


def load() -> list[Array]:
    """Return training and test digits, then training and test labels."""
    digits, labels = load_digits(return_X_y=True)
    return train_test_split((digits / 16).astype("float32"), labels, random_state=0, stratify=labels)  # type: ignore[no-any-return]


def sparse_classifier(penalty: float) -> keras.Model:
    """Return a classifier with a loss of `penalty` times the mean absolute value of its hidden outputs."""
    hidden = keras.layers.Dense(128, activation="relu", name="hidden")
    return keras.Sequential([keras.Input((64,)), IntermediateOutput(hidden, "abs", penalty), keras.layers.Dense(10)])


def classifier_with_early_outputs() -> keras.Model:
    """Return a classifier with an additional classifier, `early`, on its first hidden layer."""
    inputs = keras.Input((64,))
    first = keras.layers.Dense(64, activation="relu")(inputs)
    early = keras.layers.Dense(10, name="early")(first)
    second = keras.layers.Dense(64, activation="relu")(first)
    late = keras.layers.Dense(10, name="late")(second)
    return keras.Model(inputs, [early, late])


def loss() -> keras.losses.Loss:
    """Return the loss of a classifier that returns logits."""
    return keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def main(short: bool = False) -> dict[str, dict[Any, float]]:
    """Train both networks; print the accuracies and the fraction of active hidden units."""
    train, test, train_labels, test_labels = load()
    epochs = 2 if short else 30
    figures: dict[str, dict[Any, float]] = {"active": {}, "accuracy": {}}
    for penalty in (0.0, 0.1, 1.0):
        keras.utils.set_random_seed(0)
        model = sparse_classifier(penalty)
        model.compile("adam", loss(), metrics=["accuracy"])
        model.fit(train, train_labels, epochs=epochs, verbose=0)
        hidden = tap(model, "hidden").predict(test, verbose=0)
        figures["active"][penalty] = float(np.mean(hidden > 0))
        figures["accuracy"][penalty] = float(np.mean(model.predict(test, verbose=0).argmax(1) == test_labels))
        print(
            f"penalty {penalty:<4}: {figures['active'][penalty]:>5.1%} of the hidden outputs are above zero, "
            f"test accuracy {figures['accuracy'][penalty]:.1%}"
        )
    keras.utils.set_random_seed(0)
    both = tap(classifier_with_early_outputs(), ["early", "late"])
    both.compile("adam", {"early": loss(), "late": loss()}, loss_weights={"early": 0.3, "late": 1.0})
    both.fit(train, {"early": train_labels, "late": train_labels}, epochs=epochs, verbose=0)
    for name, scores in both.predict(test, verbose=0).items():
        figures["accuracy"][name] = float(np.mean(scores.argmax(1) == test_labels))
        print(f"{name} classifier: test accuracy {figures['accuracy'][name]:.1%}")
    return figures


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--short", action="store_true", help="train for a few epochs only")
    main(parser.parse_args().short)
