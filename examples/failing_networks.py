"""Two networks that fail to train, and the rules of `Watch` that stop them.

In the first network, the learning rate is too large: it makes the biases of a ReLU layer so negative that its units are
0 for every sample. The second network is deep, and its initial weights are too large: its gradients grow from layer to
layer until they overflow. Both train on scikit-learn's handwritten digits. A rule stops each of them and reports the
layer and the step.

    python examples/failing_networks.py

Data: the test set of "Optical Recognition of Handwritten Digits", Alpaydin and Kaynak 1998, in scikit-learn.
"""

import warnings

import keras
from sklearn.datasets import load_digits

import layerwright as lw


def main() -> dict[str, lw.Watch]:
    """Train both networks until a rule stops them, and print the alerts."""
    watches = {}
    for name, network in (("dying", dying_network()), ("exploding", exploding_network())):
        watch = watches[name] = train_watched(network)
        steps = 1 + max(record.step for record in watch.history.tensors)
        print(f"{name}: stopped after {steps} steps. {watch.history.alerts[0].message}")
    return watches


def train_watched(model: keras.Model) -> lw.Watch:
    """Train for three epochs, or until a rule stops the training."""
    x, labels = load_digits(return_X_y=True)
    rules = [lw.DeadUnits(0.9, stop=True), lw.ExplodingGradient(stop=True), lw.NonFinite(stop=True)]
    watch = lw.Watch("relu*", every=1, gradients=("activation", "weight"), rules=rules)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # the alerts, which `main` prints
        model.fit((x / 16).astype("float32"), labels, batch_size=64, epochs=3, verbose=0, callbacks=[watch])
    return watch


def dying_network() -> keras.Model:
    """Return a network whose ReLU units die within a few steps."""
    keras.utils.set_random_seed(0)
    return relu_network(depth=2, optimizer=keras.optimizers.SGD(5.0))


def exploding_network() -> keras.Model:
    """Return a network whose gradients explode in the first steps."""
    keras.utils.set_random_seed(0)
    start = keras.initializers.RandomNormal(stddev=1.0)
    return relu_network(depth=12, optimizer=keras.optimizers.SGD(0.01), kernel_initializer=start)


def relu_network(depth: int, optimizer: keras.optimizers.Optimizer, **options: object) -> keras.Model:
    """Return a classifier of `depth` ReLU layers."""
    hidden = [keras.layers.Dense(64, activation="relu", name=f"relu{place}", **options) for place in range(depth)]
    model = keras.Sequential([keras.Input((64,)), *hidden, keras.layers.Dense(10)])
    model.compile(optimizer, keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return model


if __name__ == "__main__":
    main()
