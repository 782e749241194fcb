"""What `Watch` sees where several devices or processes train together: the global batch, in each process alike."""

import importlib.metadata
import json
import os
import socket
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

PROGRAM = """
import json, sys
import jax, keras, numpy as np
import layerwright as lw

processes, process, port, folder = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4]
if processes > 1:
    keras.distribution.initialize(f"127.0.0.1:{port}", processes, process)
keras.utils.set_random_seed(0)
keras.distribution.set_distribution(keras.distribution.DataParallel(auto_shard_dataset=False))
assert len(jax.devices()) == 2
hidden = keras.layers.Dense(4, activation="tanh", name="hidden")
model = keras.Sequential([keras.Input((5,)), hidden, keras.layers.Dense(1)])
model.compile("sgd", "mse")
weights = [weight.numpy().tolist() for weight in hidden.weights]
x = np.random.default_rng(0).standard_normal((8, 5)).astype("float32")
own = x if processes == 1 else x.reshape(2, 2, 2, 5)[:, process].reshape(4, 5)
batch = 4 // processes
watch = lw.Watch("hidden", every=1, gradients=["weight"], probe=lw.Probe(x[:2]), sinks=[folder])
model.fit(own, np.ones((len(own), 1)), batch_size=batch, shuffle=False, verbose=0, callbacks=[watch])
found = {"weights": weights, "x": x[:4].tolist(), "values": [dict(each.values) for each in watch.history.tensors]}
print("FOUND" + json.dumps(found))
"""


def train(folder, processes):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    environment = {
        **os.environ,
        "KERAS_BACKEND": "jax",
        "XLA_FLAGS": f"--xla_force_host_platform_device_count={2 // processes}",
        "JAX_CPU_COLLECTIVES_IMPLEMENTATION": "gloo",
    }
    running = [
        subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(processes), str(process), port, str(folder)],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for process in range(processes)
    ]
    found = []
    for process in running:
        out, err = process.communicate(timeout=240)
        assert process.returncode == 0, err[-3000:]
        found.append(json.loads(out.partition("FOUND")[2]))
    return found


needs_arrays_in_processes = pytest.mark.skipif(
    importlib.metadata.version("keras").startswith("3.10."),
    reason="Keras 3.10 takes no arrays where several processes train",
)


@pytest.mark.parametrize(
    "processes",
    [pytest.param(1, id="two devices"), pytest.param(2, id="two processes", marks=needs_arrays_in_processes)],
)
def test_the_global_batch_is_seen(tmp_path, processes):
    found = train(tmp_path, processes)
    for each in found:
        kernel, bias = map(np.array, each["weights"])
        activation = np.tanh(np.array(each["x"]) @ kernel + bias)
        assert each["values"][0]["n"] == activation.size
        np.testing.assert_allclose(each["values"][0]["mean"], activation.mean(), 1e-5)
        np.testing.assert_allclose(each["values"][0]["std"], activation.std(), 1e-5)
    assert all(each["values"] == found[0]["values"] for each in found)
    recorded = pd.read_parquet(tmp_path / "tensors")
    assert sorted(recorded["process"].unique()) == list(range(processes))


def test_replicas_in_threads_are_refused_before_training():
    program = """
import tensorflow as tf
device = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(device, [tf.config.LogicalDeviceConfiguration()] * 2)
import keras, numpy as np
import layerwright as lw
with tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]).scope():
    model = keras.Sequential([keras.Input((5,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
try:
    model.fit(np.ones((4, 5)), np.ones((4, 1)), verbose=0, callbacks=[lw.Watch()])
except ValueError as error:
    print("REFUSED", error)
model.fit(np.ones((4, 5)), np.ones((4, 1)), verbose=0)
print("TRAINED")
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "KERAS_BACKEND": "tensorflow"},
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert "REFUSED Watch: on TensorFlow, Watch supports models with one replica only (this model has 2)" in done.stdout
    assert "TRAINED" in done.stdout, done.stderr[-3000:]
