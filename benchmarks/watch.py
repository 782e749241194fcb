"""Measure how much time `Watch` adds to a training step, and compare it with other common methods.

    python benchmarks/watch.py                   every installed backend
    python benchmarks/watch.py --backend jax     one backend
    python benchmarks/watch.py --write           also write the table into docs/performance.md

Each method trains its own model with Keras's `fit`. The methods take turns in one process per backend, epoch by epoch.
The benchmark compares the CPU time of the process, on one thread, so other programs on the machine affect all methods
alike. The medians of the rounds are divided by that of plain `fit`. "plain fit, again" is a second measurement of plain
`fit`: its distance from 1 is the noise.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "performance.md"
START, END = "<!-- watching: python benchmarks/watch.py --write -->", "<!-- end of watching -->"
STEPS, BATCH = 100, 64
PLAIN, AGAIN = "plain fit", "plain fit, again"
ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "TF_NUM_INTRAOP_THREADS": "1",
    "TF_NUM_INTEROP_THREADS": "1",
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false",
}


def main() -> None:
    """Measure on each backend in its own process, and print or write the table."""
    from layerwright.backends import installed
    from layerwright.runner.environment import quiet_environment

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15, help="the number of epochs that each method trains")
    parser.add_argument("--backend", help="measure only this backend")
    parser.add_argument("--write", action="store_true", help=f"write the table into {PAGE.relative_to(ROOT)}")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        print(json.dumps(measure(options.rounds)))
        return
    found: dict[str, dict[str, float]] = {}
    for backend in [options.backend] if options.backend else installed():
        done = subprocess.run(
            [sys.executable, __file__, "--child", "--rounds", str(options.rounds)],
            env={**os.environ, **quiet_environment(backend), **ONE_THREAD},
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        for model, ratios in json.loads(done.stdout.splitlines()[-1]).items():
            found[f"{model}, {backend}"] = ratios
    text = table(found)
    print(text)
    if options.write:
        page = PAGE.read_text("utf-8")
        before, after = page.partition(START)[0], page.partition(END)[2]
        PAGE.write_text("\n".join([before + START, "", text, "", END]) + after, "utf-8")


def measure(rounds: int) -> dict[str, dict[str, float]]:
    """Return, for each model, the time of each method divided by that of plain `fit`; for `PLAIN`, milliseconds."""
    found = {}
    for name, make in {"MLP": mlp, "convolution": convolution}.items():
        trainers = {way: trainer(make, callbacks) for way, callbacks in ways().items()}
        seconds: dict[str, list[float]] = {way: [] for way in trainers}
        for train in trainers.values():
            train()
        order = list(trainers.items())
        for number in range(rounds):
            print(f"{name}: round {number + 1} of {rounds}", file=sys.stderr, flush=True)
            order = order[1:] + order[:1]
            for way, train in order:
                start = time.process_time()
                train()
                seconds[way].append((time.process_time() - start) / STEPS)
        medians = {way: statistics.median(each) for way, each in seconds.items()}
        plain = medians.pop(PLAIN)
        found[name] = {PLAIN: 1e3 * plain, **{way: median / plain for way, median in medians.items()}}
    return found


def ways() -> dict[str, Callable[[Any, Any], list[Any]]]:
    """Return, for each method, a function that returns its callbacks for a model and its inputs."""
    import keras

    from layerwright import Watch

    def watching(**options: Any) -> Callable[[Any, Any], list[Any]]:
        return lambda *_: [Watch(**options)]

    found: dict[str, Callable[[Any, Any], list[Any]]] = {
        PLAIN: lambda *_: [],
        AGAIN: lambda *_: [],
        "Watch, every=10": watching(every=10),
        "Watch, every=10, 256 elements of each": watching(every=10, max_elements=256),
        "Watch, every=100": watching(every=100),
        "Watch, every=10, to a folder": watching(every=10, sinks=[tempfile.mkdtemp()]),
        "Watch, every=10, gradients too": watching(every=10, gradients=("activation", "weight")),
        "predict_on_batch each step": predicting,
    }
    if find_spec("tensorflow"):  # the callback requires it on every backend
        board = keras.callbacks.TensorBoard
        found["Keras's TensorBoard, each step"] = lambda *_: [
            board(tempfile.mkdtemp(), histogram_freq=1, update_freq="batch")
        ]
    if keras.backend.backend() == "torch":
        found["torch forward hooks with histc"] = hooked
    return found


def predicting(_: Any, x: Any) -> list[Any]:
    """Return a callback that people often write: it predicts a fixed batch after each step."""
    import keras
    import numpy as np

    class Predicting(keras.callbacks.Callback):
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:  # noqa: ARG002
            outputs = self.model.predict_on_batch(x[:BATCH])
            np.mean(outputs), np.std(outputs)

    return [Predicting()]


def hooked(model: Any, _: Any) -> list[Any]:
    """Register a forward hook with statistics and a histogram on each layer; return no callback."""
    import torch

    def hook(_: Any, __: Any, outputs: Any) -> None:
        x = outputs.detach()
        [each.item() for each in (x.mean(), x.std(), x.min(), x.max(), (x == 0).float().mean())]
        torch.histc(x, 32).numpy()

    for layer in model.layers:
        layer.register_forward_hook(hook)
    return []


def trainer(make: Callable[[], Any], way: Callable[[Any, Any], list[Any]]) -> Callable[[], None]:
    """Return a function that trains a model for one epoch."""
    import keras
    import numpy as np

    keras.utils.set_random_seed(0)
    model, x = make()
    y = np.random.default_rng(0).integers(0, 10, len(x))
    model.compile("adam", "sparse_categorical_crossentropy")
    callbacks = way(model, x)

    def train() -> None:
        model.fit(x, y, batch_size=BATCH, shuffle=False, verbose=0, callbacks=callbacks)

    return train


def mlp() -> tuple[Any, Any]:
    """Return a perceptron with four layers, and its inputs for one epoch."""
    import keras
    import numpy as np

    hidden = [keras.layers.Dense(256, activation="relu") for _ in range(3)]
    model = keras.Sequential([keras.Input((128,)), *hidden, keras.layers.Dense(10, activation="softmax")])
    return model, np.random.default_rng(0).standard_normal((STEPS * BATCH, 128)).astype("float32")


def convolution() -> tuple[Any, Any]:
    """Return a convolutional network, and its inputs for one epoch."""
    import keras
    import numpy as np

    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            layers.Conv2D(16, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Conv2D(32, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dense(10, activation="softmax"),
        ]
    )
    return model, np.random.default_rng(0).standard_normal((STEPS * BATCH, 28, 28, 1)).astype("float32")


def table(found: dict[str, dict[str, float]]) -> str:
    """Return the ratios as a table."""
    ways = list(dict.fromkeys(way for ratios in found.values() for way in ratios if way != PLAIN))
    lines = [
        "| | " + " | ".join(found) + " |",
        "|---|" + "--:|" * len(found),
        "| plain fit, ms of CPU a step | " + " | ".join(f"{ratios[PLAIN]:.2f}" for ratios in found.values()) + " |",
    ]
    for way in ways:
        cells = [f"{ratios[way]:.2f}" if way in ratios else "" for ratios in found.values()]
        lines.append(f"| {way} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
