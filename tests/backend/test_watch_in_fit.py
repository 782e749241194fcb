"""A watched training is the training, and leaves nothing behind."""

import copy
import os
import pickle
import subprocess
import sys
import warnings
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import pytest
from keras import ops

from layer_tools import OLD_KERAS
from layerwright import DeadUnits, NonFinite, Probe, Unchanged, Watch
from layerwright.core.errors import UsageError
from layerwright.runner.environment import CHECKING, QUICK_COMPILATION
from layerwright.watch.records import Kind

BACKEND = keras.backend.backend()
EVERYTHING = {
    "statistics": ("moments", "extrema", "zero_fraction", "histogram", "between_batch_shift"),
    "gradients": ("activation", "weight"),
}
RNG = np.random.default_rng(1)
SAMPLES = 22  # batches of 8: the last is smaller


def flat():
    return keras.Sequential(
        [
            keras.Input((6,)),
            keras.layers.Dense(8, activation="relu", name="hidden"),
            keras.layers.Dropout(0.3, seed=5),
            keras.layers.BatchNormalization(),
            keras.layers.Dense(3, activation="softmax", name="out"),
        ]
    )


def subclassed():
    @keras.saving.register_keras_serializable("watched")
    class Model(keras.Model):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.inner = keras.Sequential([keras.layers.Dense(5, activation="relu", name="deep")], name="inner")
            self.out = keras.layers.Dense(3, activation="softmax", name="out")

        def call(self, inputs, training=None):
            return self.out(self.inner(inputs, training=training))

    return Model()


def shared():
    inputs = keras.Input((6,))
    layer = keras.layers.Dense(6, activation="tanh", name="twice")
    return keras.Model(inputs, keras.layers.Dense(3, activation="softmax", name="out")(layer(layer(inputs))))


def nested():
    inner = keras.Sequential([keras.Input((6,)), keras.layers.Dense(4, name="deep")], name="inner")
    inputs = keras.Input((6,))
    return keras.Model(inputs, keras.layers.Dense(3, activation="softmax", name="out")(inner(inputs)))


def recurrent():
    return keras.Sequential(
        [
            keras.Input((6,)),
            keras.layers.Reshape((3, 2)),
            keras.layers.GRU(4, return_sequences=True, name="gru"),
            keras.layers.Bidirectional(keras.layers.SimpleRNN(3), name="both"),
            keras.layers.Dense(3, activation="softmax", name="out"),
        ]
    )


def attention():
    inputs = keras.Input((6,))
    x = keras.layers.Reshape((3, 2))(inputs)
    x, scores = keras.layers.MultiHeadAttention(2, 4, name="attention")(x, x, return_attention_scores=True)
    x = keras.layers.LayerNormalization()(keras.layers.GlobalAveragePooling1D()(x))
    x = keras.layers.Concatenate()([x, keras.layers.Flatten()(scores)])
    return keras.Model(inputs, keras.layers.Dense(3, activation="softmax", name="out")(x))


def convolution():
    return keras.Sequential(
        [
            keras.Input((6,)),
            keras.layers.Reshape((3, 2, 1)),
            keras.layers.Conv2D(4, 2, padding="same", activation="relu", name="conv"),
            keras.layers.MaxPooling2D((3, 1)),
            keras.layers.Flatten(),
            keras.layers.Dense(3, activation="softmax", name="out"),
        ]
    )


def two_outputs():
    inputs = keras.Input((6,))
    x = keras.layers.Dense(4, name="stem")(inputs)
    return keras.Model(
        inputs,
        {
            "a": keras.layers.Dense(3, activation="softmax", name="a")(x),
            "b": keras.layers.Dense(3, activation="softmax", name="b")(x),
        },
    )


MODELS = [flat, subclassed, shared, nested, recurrent, attention, convolution, two_outputs]


def trained(make, watch=None, compiled=None, optimizer=None, callbacks=(), **options):
    keras.utils.set_random_seed(7)
    model = make()
    is_double = make is two_outputs
    optimizer = (optimizer or keras.optimizers.Adam)(0.01)
    model.compile(optimizer, "sparse_categorical_crossentropy", **(compiled or {}))
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((SAMPLES, 6)).astype("float32"), rng.integers(0, 3, SAMPLES)
    y = {"a": y, "b": y} if is_double else y
    keras.utils.set_random_seed(8)
    model.fit(
        x,
        y,
        **{
            "batch_size": 8,
            "epochs": 2,
            "verbose": 0,
            **options,
            "callbacks": [*([watch] if watch else []), *callbacks],
        },
    )
    return model


def traces(model):
    """What an object of Keras's has besides its class, as far as watching could leave something."""
    objects = [model, *model._flatten_layers(include_self=False), model.optimizer]
    return [
        (type(each).__name__, sorted(name for name in vars(each) if callable(vars(each)[name]))) for each in objects
    ], [
        len(model.variables),
        len(model.optimizer.variables),
    ]


ROUNDING = 1e-4 if BACKEND == "jax" else 0.0
"""The tests have XLA compile quickly, and then it rounds otherwise where more is computed; see the test in a process
without these settings."""


def assert_same(make, tolerance=ROUNDING, watch=None, **options):
    plain = trained(make, **options)
    watch = watch or Watch(
        every=2, **EVERYTHING, probe=None if make is recurrent else Probe(np.ones((3, 6), "float32"))
    )
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Watch: .* is not watched")
        watched = trained(make, watch, **options)
    for expected, found in zip(plain.get_weights(), watched.get_weights(), strict=True):
        if tolerance:
            np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance)
        else:
            np.testing.assert_array_equal(found, expected)
    assert watch.history.tensors
    assert traces(watched) == traces(plain)
    return watch


@pytest.mark.parametrize("make", MODELS)
def test_the_training_is_the_same_and_nothing_is_left(make):
    # Adam would make an update of full size out of the gradient by the keys' bias, which is nothing but rounding.
    assert_same(make, optimizer=keras.optimizers.SGD if make is attention else None)


@pytest.mark.skipif(BACKEND != "jax", reason="the others are compared bit for bit above")
@pytest.mark.skipif(OLD_KERAS, reason="XLA of JAX 0.6 orders sums otherwise; compared to rounding above")
def test_the_training_is_the_same_bit_for_bit_under_xla_s_own_settings():
    code = (
        "import numpy as np, warnings\n"
        "warnings.simplefilter('ignore')\n"
        "import test_watch_in_fit as tests\n"
        "from layerwright import Watch\n"
        "for make in (tests.flat, tests.convolution):\n"
        "    plain = tests.trained(make).get_weights()\n"
        "    watched = tests.trained(make, Watch(every=2, **tests.EVERYTHING)).get_weights()\n"
        "    assert all(np.array_equal(*pair) for pair in zip(plain, watched, strict=True)), make\n"
    )
    environment = {name: value for name, value in os.environ.items() if name not in CHECKING | QUICK_COMPILATION}
    environment["PYTHONPATH"] = os.pathsep.join(map(str, Path(__file__).parents[:2]))
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]


OPTIONS = {
    "validation": {"validation_split": 0.3},
    "gradient accumulation": {"optimizer": lambda rate: keras.optimizers.Adam(rate, gradient_accumulation_steps=2)},
    "moving average of weights": {"optimizer": lambda rate: keras.optimizers.Adam(rate, use_ema=True)},
    "clipped gradients": {"optimizer": lambda rate: keras.optimizers.Adam(rate, global_clipnorm=0.5)},
    "scaled loss": {"optimizer": lambda rate: keras.optimizers.LossScaleOptimizer(keras.optimizers.Adam(rate))},
    "eagerly": {"compiled": {"run_eagerly": True}},
}
if BACKEND != "torch":  # there Keras compiles nothing by itself, and executes step by step
    OPTIONS |= {
        "jit": {"compiled": {"jit_compile": True}},
        "no jit": {"compiled": {"jit_compile": False}},
        "steps executed together": {"compiled": {"steps_per_execution": 2}},
    }


@pytest.mark.parametrize("name", OPTIONS)
def test_the_training_is_the_same_under_options(name):
    assert_same(flat, **OPTIONS[name])


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_the_training_is_the_same_in_half_precision(policy):
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        assert_same(flat, tolerance=2e-3)
    finally:
        keras.config.set_dtype_policy(before)


class During(keras.callbacks.Callback):
    """Does something with the model in the middle of `fit`."""

    def __init__(self, act):
        super().__init__()
        self.act = act
        self.results = []

    def on_epoch_end(self, epoch, logs=None):
        self.results.append(self.act(self.model))

    def on_train_batch_end(self, batch, logs=None):
        if batch == 1:
            self.results.append(self.act(self.model))


def predictions(model):
    return ops.convert_to_numpy(model(np.ones((2, 6), "float32"), training=False))


@pytest.mark.parametrize("make", [flat, shared, subclassed])
def test_a_model_saved_while_it_is_watched_loads_where_layerwright_is_not(make, tmp_path):
    path = tmp_path / "model.keras"

    def save(model):
        model.save(path)
        model.save_weights(tmp_path / "model.weights.h5")
        return predictions(model)

    during = During(save)
    trained(make, Watch(every=1, **EVERYTHING), callbacks=[during])
    np.save(tmp_path / "expected.npy", during.results[-1])
    if make is subclassed:  # its class is here alone
        loaded = keras.saving.load_model(path)
        np.testing.assert_allclose(predictions(loaded), during.results[-1], 1e-5)
        return
    code = (
        "import sys, keras, numpy as np\n"
        f"model = keras.saving.load_model({str(path)!r})\n"
        "assert not any(name.startswith('layerwright') for name in sys.modules)\n"
        f"model.load_weights({str(tmp_path / 'model.weights.h5')!r})\n"
        "found = keras.ops.convert_to_numpy(model(np.ones((2, 6), 'float32'), training=False))\n"
        f"np.testing.assert_allclose(found, np.load({str(tmp_path / 'expected.npy')!r}), 1e-5)\n"
        "model.fit(np.ones((8, 6)), np.zeros(8), verbose=0)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]


@pytest.mark.parametrize(
    "act",
    [
        lambda model: pickle.loads(pickle.dumps(model)),
        copy.deepcopy,
        keras.models.clone_model,
        lambda model: type(model).from_config(model.get_config()),
    ],
    ids=["pickle", "deepcopy", "clone", "from_config"],
)
def test_a_model_copied_while_it_is_watched_is_a_model(act):
    during = During(act)
    watched = trained(flat, Watch(every=1, **EVERYTHING), callbacks=[during])
    for copied in during.results:
        copied.compile("sgd", "sparse_categorical_crossentropy")
        copied.fit(np.ones((4, 6)), np.zeros(4), verbose=0)
        assert [weight.shape for weight in copied.weights] == [weight.shape for weight in watched.weights]


@pytest.mark.skipif(BACKEND == "torch", reason="Keras exports torch models for a batch of one")
@pytest.mark.filterwarnings("ignore:The `native_serialization` parameter is deprecated")
def test_a_model_can_be_exported_while_it_is_watched(tmp_path):
    def act(model):
        model.export(tmp_path / "exported", verbose=False)
        return predictions(model)

    during = During(act)
    trained(flat, Watch(every=1, **EVERYTHING), callbacks=[during])
    import tensorflow as tf

    loaded = tf.saved_model.load(str(tmp_path / "exported"))
    np.testing.assert_allclose(loaded.serve(np.ones((2, 6), "float32")), during.results[-1], 1e-4, 1e-5)


def test_keras_own_callbacks_work_beside_it(tmp_path):
    def callbacks(folder):
        folder.mkdir()
        return [
            keras.callbacks.EarlyStopping("loss", patience=0, restore_best_weights=True),
            keras.callbacks.BackupAndRestore(folder / "backup"),
            keras.callbacks.ModelCheckpoint(folder / "best.keras", monitor="loss", save_best_only=True),
        ]

    plain = trained(flat, callbacks=callbacks(tmp_path / "plain"), epochs=4)
    watched = trained(flat, Watch(every=2, **EVERYTHING), callbacks=callbacks(tmp_path / "watched"), epochs=4)
    for expected, found in zip(plain.get_weights(), watched.get_weights(), strict=True):
        np.testing.assert_allclose(found, expected, rtol=ROUNDING, atol=ROUNDING)
    loaded = keras.saving.load_model(tmp_path / "watched" / "best.keras")
    assert len(loaded.weights) == len(plain.weights)


class Breaks(keras.callbacks.Callback):
    def __init__(self, error, when):
        super().__init__()
        self.error = error
        setattr(self, when, self.now)

    def now(self, batch, logs=None):
        if batch == 1:
            raise self.error


@pytest.mark.parametrize("error", [ValueError("stop here"), KeyboardInterrupt()], ids=["exception", "Ctrl-C"])
@pytest.mark.parametrize("when", ["on_train_batch_begin", "on_train_batch_end"])
def test_nothing_is_left_when_fit_breaks_off(error, when):
    keras.utils.set_random_seed(7)
    model = flat()
    model.compile("adam", "sparse_categorical_crossentropy")
    x, y = np.ones((SAMPLES, 6), "float32"), np.zeros(SAMPLES)
    model.fit(x, y, verbose=0)
    before = traces(model)
    watch = Watch(every=1, **EVERYTHING)
    with pytest.raises(type(error)):
        model.fit(x, y, batch_size=8, verbose=0, callbacks=[watch, Breaks(error, when)])
    assert traces(model) == before
    assert watch.history.tensors
    model.fit(x, y, verbose=0)
    model.fit(x, y, batch_size=8, verbose=0, callbacks=[watch])
    assert traces(model) == before


def test_a_broken_off_fit_loses_nothing(tmp_path):
    model = flat()
    model.compile("adam", "sparse_categorical_crossentropy")
    watch = Watch("hidden", every=1, sinks=[tmp_path])
    with pytest.raises(KeyboardInterrupt):
        model.fit(
            np.ones((SAMPLES, 6)),
            np.zeros(SAMPLES),
            batch_size=8,
            verbose=0,
            callbacks=[watch, Breaks(KeyboardInterrupt(), "on_train_batch_end")],
        )
    watch.close()  # as at exit
    assert [record.step for record in watch.history.tensors] == [0, 1]
    assert pd.read_parquet(tmp_path / "tensors")["step"].tolist() == [0, 1]


def test_a_layer_that_breaks_while_it_is_watched_leaves_nothing():
    class Breaking(keras.layers.Layer):
        broken = False

        def call(self, inputs):
            if self.broken:
                raise ValueError("broken layer")
            return inputs

    model = keras.Sequential([keras.Input((6,)), Breaking(name="breaking"), keras.layers.Dense(1)])
    model.compile("sgd", "mse", run_eagerly=True)
    model.fit(np.ones((4, 6)), np.ones((4, 1)), verbose=0)
    before = traces(model)
    model.layers[0].broken = True
    with pytest.raises(ValueError, match="broken layer"):
        model.fit(np.ones((4, 6)), np.ones((4, 1)), verbose=0, callbacks=[Watch(every=1, **EVERYTHING)])
    assert traces(model) == before


def sites(watch, kind=Kind.ACTIVATION):
    return sorted({record.tensor for record in watch.history.tensors if record.kind == kind})


def test_each_tensor_has_a_name():
    assert sites(assert_same(shared)) == ["out", "twice", "twice#1"]
    assert sites(assert_same(nested)) == ["inner", "inner/deep", "out"]
    names = sites(assert_same(attention, optimizer=keras.optimizers.SGD))
    assert {"attention", "attention:1", "attention/query", "out"} <= set(names)


def test_what_runs_in_a_loop_is_left_out():
    watch = assert_same(recurrent)
    assert [name for name in sites(watch) if "cell" in name] == []
    assert {"gru", "both", "out"} <= set(sites(watch))


@pytest.mark.parametrize(
    ("layers", "expected"),
    [
        ("hidden", ["hidden"]),
        ("ou*", ["out"]),
        (["hidden", "dropout*"], ["dropout", "hidden"]),
        (None, ["batch_normalization", "dropout", "hidden", "out"]),
    ],
)
def test_layers_are_chosen(layers, expected):
    keras.backend.clear_session()
    watch = Watch(layers, every=10)
    trained(flat, watch)
    assert sites(watch) == expected


def test_layer_objects_are_chosen():
    model = flat()
    model.compile("sgd", "sparse_categorical_crossentropy")
    watch = Watch([model.layers[0]], every=10)
    model.fit(np.ones((4, 6)), np.zeros(4), verbose=0, callbacks=[watch])
    assert sites(watch) == ["hidden"]


def test_steps_are_counted_over_epochs_and_fits():
    watch = Watch("hidden", every=4)
    model = trained(flat, watch)  # 3 batches an epoch, 2 epochs
    assert [record.step for record in watch.history.tensors] == [0, 4]
    model.fit(np.ones((16, 6)), np.zeros(16), batch_size=4, verbose=0, callbacks=[watch])
    assert [record.step for record in watch.history.tensors] == [0, 4, 8]


def test_watching_compiles_one_more_function_and_other_steps_compile_none():
    class Counting(keras.layers.Layer):
        calls = 0

        def call(self, inputs):
            type(self).calls += 1
            return inputs

    model = keras.Sequential([keras.Input((6,)), Counting(), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    x, y = np.ones((32, 6)), np.ones((32, 1))
    model.fit(x, y, batch_size=4, verbose=0)
    before = Counting.calls
    model.fit(x, y, batch_size=4, epochs=5, verbose=0)
    assert Counting.calls - before == (40 if BACKEND == "torch" else 0)
    before = Counting.calls
    watch = Watch(every=3, **{**EVERYTHING, "statistics": ("moments",)})
    model.fit(x, y, batch_size=4, epochs=5, verbose=0, callbacks=[watch])
    traced = Counting.calls - before
    assert traced == 40 if BACKEND == "torch" else 1 <= traced <= 3
    before = Counting.calls
    model.fit(x, y, batch_size=4, epochs=5, verbose=0, callbacks=[watch])
    assert Counting.calls - before == (40 if BACKEND == "torch" else 0)


def test_with_a_learning_rate_of_0_the_probe_does_not_move_and_one_step_moves_it():
    def moved(rate):
        keras.utils.set_random_seed(7)
        model = keras.Sequential([keras.Input((6,)), keras.layers.Dense(8, "relu"), keras.layers.Dense(3, "softmax")])
        model.compile(keras.optimizers.SGD(rate), "sparse_categorical_crossentropy")
        x, y = np.random.default_rng(0).standard_normal((6, 6)), np.zeros(6)
        watch = Watch(every=1, probe=Probe(x[:4], y[:4], ids="abcd"))
        model.fit(x, y, batch_size=1, verbose=0, callbacks=[watch])
        assert {record.ids for record in watch.history.probes} == {tuple("abcd")}
        return np.array([record.relative_change for record in watch.history.probes]), watch.history

    still, history = moved(0.0)
    assert len(still) == 2 * 5
    assert (still == 0).all()
    assert len(history.predictions) == 6
    moving, history = moved(0.1)
    assert (moving > 0).any()
    confidences = np.array([record.confidence for record in history.predictions])
    assert (confidences[-1] > confidences[0]).all()  # all are of class 0


def test_a_model_that_its_first_batch_builds_takes_a_probe():
    class Doubled(keras.layers.Layer):
        def call(self, inputs):  # takes no `training`
            return 2 * inputs

    model = keras.Sequential([Doubled(name="doubled"), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    watch = Watch("doubled", every=1, probe=Probe(np.ones((2, 6))))
    model.fit(np.ones((8, 6)), np.ones((8, 1)), batch_size=2, verbose=0, callbacks=[watch])
    assert [record.relative_change for record in watch.history.probes] == [(0.0, 0.0)] * len(watch.history.probes)
    assert len(watch.history.probes) >= 2


def test_the_probe_is_evaluated_with_the_weights_before_the_step():
    keras.utils.set_random_seed(7)
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(4, name="only")])
    model.compile(keras.optimizers.SGD(0.1), "mse")
    x = np.random.default_rng(0).standard_normal((12, 3)).astype("float32")
    weights = [model.get_weights()]
    keep = During(lambda model: weights.append(model.get_weights()))
    watch = Watch(every=1, probe=Probe(x[:5]))
    for _ in range(3):
        model.fit(x, np.ones((12, 4)), batch_size=12, shuffle=False, verbose=0, callbacks=[watch, keep])
    for record, before, after in zip(watch.history.probes, weights, weights[1:], strict=False):
        old, new = (x[:5] @ w + b for w, b in (before, after))
        expected = np.linalg.norm(new - old, axis=1) / np.linalg.norm(old, axis=1)
        np.testing.assert_allclose(record.relative_change, expected, 1e-3)


def test_the_probe_leaves_states_alone():
    class Counting(keras.layers.Layer):
        def build(self, _):
            self.count = self.add_weight(shape=(), initializer="zeros", trainable=False)

        def call(self, inputs):
            self.count.assign(self.count + 1.0)
            return inputs * self.count

    def make():
        return keras.Sequential([keras.Input((6,)), Counting(), keras.layers.Dense(3, activation="softmax")])

    assert_same(make)


def test_rules_alert_and_stop():
    model = keras.Sequential(
        [
            keras.Input((6,)),
            keras.layers.Dense(4, "relu", name="dead", bias_initializer=lambda *a, **k: ops.full((4,), -100.0)),
            keras.layers.Dense(1),
        ]
    )
    model.compile(keras.optimizers.SGD(0.01), "mse")
    watch = Watch("dead", every=1, rules=[DeadUnits(0.5, stop=True), NonFinite()])
    with pytest.warns(
        RuntimeWarning, match="DeadUnits: at step 0 the activation of 'dead' has 100% dead units .*, above 50%"
    ):
        model.fit(np.ones((32, 6)), np.ones((32, 1)), batch_size=4, verbose=0, callbacks=[watch])
    (first, *_) = watch.history.alerts
    assert (first.rule, first.tensor, first.statistic, first.value, first.threshold) == (
        "DeadUnits",
        "dead",
        "dead_fraction",
        1.0,
        0.5,
    )
    assert max(record.step for record in watch.history.tensors) <= 2  # seen one step later, and stopped


def test_what_is_not_finite_is_found():
    model = keras.Sequential([keras.Input((6,)), keras.layers.Dense(4, name="dense"), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(1e30), "mse")
    watch = Watch(every=1, rules=[NonFinite()])
    with pytest.warns(RuntimeWarning, match="NonFinite: at step . the activation of .* contains NaN or infinity in"):
        model.fit(np.ones((64, 6)), np.ones((64, 1)), batch_size=4, verbose=0, callbacks=[watch])
    assert watch.history.alerts


def test_a_keras_without_a_required_method_is_named_before_training(monkeypatch):
    model = flat()
    model.compile("sgd", "sparse_categorical_crossentropy")
    before = model.get_weights()
    monkeypatch.setattr(keras.Model, "stateless_call", None)
    with pytest.raises(UsageError, match=rf"Watch: Keras {keras.__version__}'s model has no stateless_call"):
        model.fit(np.ones((4, 6)), np.zeros(4), verbose=0, callbacks=[Watch()])
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Watch("hiden"), r"Watch: layers='hiden' matches no layer; did you mean 'hidden'\?"),
        (
            lambda: Watch(probe=Probe(np.ones((3, 5)))),
            r"Watch: the model cannot be called on the probe set of shape \(3, 5\); pass",
        ),
        (lambda: Watch(sinks=["/proc/no/such"]), r"Watch: cannot write into /proc/no/such .*; choose another folder\."),
    ],
)
def test_what_cannot_be_watched_is_said_before_training(make, message):
    model = flat()
    model.compile("sgd", "sparse_categorical_crossentropy")
    before = model.get_weights()
    with pytest.raises(ValueError, match=message):
        model.fit(np.ones((4, 6)), np.zeros(4), verbose=0, callbacks=[make()])
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"every": 0}, r"Watch: every must be a positive integer \(got 0\)"),
        ({"statistics": ("mean",)}, "Watch: statistics must be a sequence of names from 'moments', 'extrema'"),
        (
            {"gradients": "activation"},
            r"Watch: gradients must be a sequence of 'activation' and 'weight' \(got 'activation'\); pass gradients=",
        ),
        (
            {"probe": np.ones((2, 2))},
            r"Watch: probe must be a Probe \(got ndarray\); pass Probe\(x\[:32\]\), for example",
        ),
        (
            {"statistics": ("moments",), "rules": [DeadUnits()]},
            r"Watch: the rule DeadUnits needs dead_fraction, which is not recorded; pass statistics=\('moments', 'zero_",
        ),
        (
            {"rules": [Unchanged()]},
            r"Watch: the rule Unchanged needs 'weight' in gradients \(got \(\)\); pass gradients=\('weight',\)",
        ),
        ({"sinks": [3]}, "Watch: sinks must be folders or objects with the methods open, write and close"),
    ],
)
def test_arguments_that_make_no_sense(options, message):
    with pytest.raises(ValueError, match=message):
        Watch(**options)


def test_a_sink_that_fails_ends_and_training_goes_on():
    class Full:
        def __init__(self):
            self.written = 0

        def open(self, run):
            assert run.backend == BACKEND

        def write(self, records):
            self.written += 1
            raise OSError(28, "No space left on device")

        def close(self):
            pass

    full = Full()
    watch = Watch("hidden", every=1, sinks=[full])
    with pytest.warns(RuntimeWarning, match="Watch: the sink Full failed and gets no more records; training continues"):
        trained(flat, watch)
    assert full.written == 1
    assert len(watch.history.tensors) == 6


class Own(keras.Model):
    """A model with a training step of its own, as Keras's guides write one."""

    def __init__(self):
        super().__init__()
        self.dense = keras.layers.Dense(3, activation="softmax", name="out")

    def call(self, inputs):
        return self.dense(inputs)

    def train_step(self, *args):
        return super().train_step(*args)


def test_a_training_step_of_ones_own_is_watched():
    watch = Watch(every=2, gradients=("weight",), probe=Probe(np.ones((3, 6), "float32")))
    assert_same(Own, watch=watch)
    assert sites(watch) == ["out"]
    assert sites(watch, Kind.WEIGHT_GRADIENT)


@pytest.mark.skipif(BACKEND != "jax", reason="elsewhere nothing passes through the training step")
def test_activation_gradients_are_refused_where_they_would_be_met():
    with pytest.raises(
        ValueError, match=r"Watch: on JAX, gradients=.* needs Keras's own train_step, but Own overrides it"
    ):
        trained(Own, Watch(gradients=("activation",)))
