"""Two networks that fail, and the rules that catch them.

The first dies: its learning rate throws the biases of a ReLU layer so far down that no sample reaches it again. The
second explodes: deep, started with weights too large, its gradients grow from layer to layer until nothing is finite.
Both train on scikit-learn's handwritten digits, and both are stopped by a rule, with the layer and the step.

    python examples/failing_networks.py

Data: the test set of "Optical Recognition of Handwritten Digits", Alpaydin and Kaynak 1998, in scikit-learn.
"""

import warnings

import keras
from sklearn.datasets import load_digits

import layerwright as lw


def main() -> dict[str, lw.Watch]:
    """Train both until a rule stops them, and print what it said."""
    watches = {}
    for name, network in (("dying", dying()), ("exploding", exploding())):
        watch = watches[name] = watched(network)
        steps = 1 + max(record.step for record in watch.history.tensors)
        print(f"{name}: stopped after {steps} steps. {watch.history.alerts[0].message}")
    return watches


def watched(model: keras.Model) -> lw.Watch:
    """Train three epochs, or until a rule stops it."""
    x, labels = load_digits(return_X_y=True)
    rules = [lw.DeadUnits(0.9, stop=True), lw.ExplodingGradient(stop=True), lw.NonFinite(stop=True)]
    watch = lw.Watch("relu*", every=1, gradients=("activation", "weight"), rules=rules)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # the alerts, which are printed
        model.fit((x / 16).astype("float32"), labels, batch_size=64, epochs=3, verbose=0, callbacks=[watch])
    return watch


def dying() -> keras.Model:
    """Return a network whose ReLU units die in a few steps."""
    keras.utils.set_random_seed(0)
    return network(depth=2, optimizer=keras.optimizers.SGD(5.0))


def exploding() -> keras.Model:
    """Return a network whose gradients explode at once."""
    keras.utils.set_random_seed(0)
    start = keras.initializers.RandomNormal(stddev=1.0)
    return network(depth=12, optimizer=keras.optimizers.SGD(0.01), kernel_initializer=start)


def network(depth: int, optimizer: keras.optimizers.Optimizer, **options: object) -> keras.Model:
    """Return a classifier of `depth` ReLU layers."""
    hidden = [keras.layers.Dense(64, activation="relu", name=f"relu{place}", **options) for place in range(depth)]
    model = keras.Sequential([keras.Input((64,)), *hidden, keras.layers.Dense(10)])
    model.compile(optimizer, keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return model


if __name__ == "__main__":
    main()
