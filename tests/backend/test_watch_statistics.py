"""What `Watch` records is what NumPy computes from the same tensors."""

import math

import keras
import numpy as np
import pandas as pd
import pytest
from keras import ops

from layerwright import Watch, backends
from layerwright.watch import statistic_names
from layerwright.watch.records import Kind
from layerwright.watch.statistics import named_values, row_histogram, statistics_row

BACKEND = keras.backend.backend()
EVERYTHING = statistic_names.OPTIONS
RNG = np.random.default_rng(0)

ARRAYS = {
    "normal": RNG.standard_normal((6, 5, 4)),
    "relu": np.maximum(RNG.standard_normal((8, 6)), 0) * [1, 1, 0, 1, 1, 1],
    "huge": RNG.standard_normal((4, 3)) * 1e30,
    "tiny": RNG.standard_normal((4, 3)) * 1e-30,
    "constant": np.full((3, 4), 2.5),
    "zeros": np.zeros((3, 4)),
    "with NaN and infinity": np.array([[1.0, np.nan, 3.0], [np.inf, -2.0, -np.inf]]),
    "nothing finite": np.full((2, 2), np.nan),
    "a vector": RNG.standard_normal(7),
    "one number": np.array(3.0),
    "no rows": np.zeros((0, 3)),
    "integers": RNG.integers(-5, 5, (4, 6)),
    "booleans": RNG.integers(0, 2, (4, 6)).astype(bool),
}


def expected(x, bins=0):
    """The same in NumPy."""
    x = np.asarray(x, "float64")
    known = x[np.isfinite(x)]
    empty = known.size == 0
    per_unit = (x == 0).reshape(-1, x.shape[-1] if x.ndim else 1)
    found = {
        "n": x.size,
        "nonfinite": x.size - known.size,
        "mean": math.nan if empty else known.mean(),
        "std": math.nan if empty else known.std(),
        "norm": math.nan if empty else np.linalg.norm(known),
        "min": math.nan if empty else known.min(),
        "max": math.nan if empty else known.max(),
        "zero_fraction": (x == 0).mean() if x.size else math.nan,
        "dead_fraction": per_unit.all(0).mean(),
    }
    return found, np.histogram(known, bins)[0] if bins and not empty else None


def way(name):
    return backends.current().jit if name == "compiled" and BACKEND != "torch" else lambda function: function


@pytest.mark.parametrize("how", ["eager", "compiled"])
@pytest.mark.parametrize("name", ARRAYS)
def test_a_row_is_what_numpy_computes(name, how):
    x = ARRAYS[name] if ARRAYS[name].dtype.kind in "ib" else ARRAYS[name].astype("float32")
    computed = ops.convert_to_numpy(way(how)(lambda x: statistics_row(x, bins=8))(ops.convert_to_tensor(x)))
    numbers, counts = expected(x, 8)
    found = named_values(computed, EVERYTHING)
    for statistic, value in found.items():
        np.testing.assert_allclose(value, numbers[statistic], 2e-6, 1e-37, err_msg=statistic)
    bins = row_histogram(computed)
    if counts is None:
        assert bins is None
    else:
        assert bins.counts == tuple(counts)
        low, high = np.histogram_bin_edges(x[np.isfinite(x)].astype("float32"), 8)[[0, -1]]
        np.testing.assert_allclose([bins.low, bins.high], [low, high], 1e-6)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_is_widened_first(dtype):
    x = ops.cast(ops.convert_to_tensor(RNG.standard_normal((64, 64)).astype("float32") * 100), dtype)
    found = named_values(ops.convert_to_numpy(statistics_row(x)), EVERYTHING)
    numbers, _ = expected(ops.convert_to_numpy(ops.cast(x, "float32")))
    np.testing.assert_allclose(found["norm"], numbers["norm"], 2e-6)  # past 65504, where float16 ends


class Data:
    """Two dense layers on batches whose every tensor NumPy can follow."""

    def __init__(self, **options):
        keras.utils.set_random_seed(3)
        self.x = RNG.standard_normal((24, 5)).astype("float32")
        self.y = RNG.standard_normal((24, 2)).astype("float32")
        dense = keras.layers.Dense(4, activation="relu", name="hidden")
        self.model = keras.Sequential([keras.Input((5,)), dense, keras.layers.Dense(2, name="out")])
        self.model.compile(keras.optimizers.SGD(0.1), "mse", **options)

    def fit(self, watch, **options):
        self.model.fit(
            self.x, self.y, **{"batch_size": 6, "shuffle": False, "verbose": 0, **options, "callbacks": [watch]}
        )
        return watch.history.tensors

    def forward(self, step, weights):
        x, y = (each[6 * step : 6 * step + 6].astype("float64") for each in (self.x, self.y))
        w1, b1, w2, b2 = (weight.astype("float64") for weight in weights)
        hidden = np.maximum(x @ w1 + b1, 0)
        out = hidden @ w2 + b2
        by_out = 2 * (out - y) / out.size
        by_hidden = by_out @ w2.T
        by_before = by_hidden * (hidden > 0)
        gradients = [x.T @ by_before, by_before.sum(0), hidden.T @ by_out, by_out.sum(0)]
        return {
            (Kind.ACTIVATION, "hidden"): hidden,
            (Kind.ACTIVATION, "out"): out,
            (Kind.ACTIVATION_GRADIENT, "hidden"): by_hidden,
            (Kind.ACTIVATION_GRADIENT, "out"): by_out,
            **{(Kind.WEIGHT, each.path): w for each, w in zip(self.model.weights, weights, strict=True)},
            **{(Kind.WEIGHT_GRADIENT, each.path): g for each, g in zip(self.model.weights, gradients, strict=True)},
        }, gradients


MODES = {"jit": {"jit_compile": True}, "no jit": {"jit_compile": False}, "eagerly": {"run_eagerly": True}}
if BACKEND == "torch":
    MODES = {"eagerly": {}}


@pytest.mark.parametrize("mode", MODES)
def test_every_statistic_in_fit_is_what_numpy_computes(mode):
    data = Data(**MODES[mode])
    weights = data.model.get_weights()
    records = data.fit(Watch(every=1, statistics=EVERYTHING, gradients=("activation", "weight"), bins=6))
    assert sorted({record.step for record in records}) == [0, 1, 2, 3]
    before = {}
    for step in range(4):
        tensors, gradients = data.forward(step, weights)
        found = {(record.kind, record.tensor): record for record in records if record.step == step}
        assert set(found) == set(tensors)
        for key, record in found.items():
            numbers, counts = expected(tensors[key], 6)
            for statistic in ("n", "nonfinite", "mean", "std", "norm", "min", "max", "zero_fraction"):
                np.testing.assert_allclose(record.values[statistic], numbers[statistic], 1e-5, 1e-7, err_msg=f"{key}")
            assert sum(abs(np.array(record.histogram.counts) - counts)) <= 2  # one on an edge lies here or there
        for name in ("hidden", "out"):
            mean = tensors[Kind.ACTIVATION, name].mean(0)
            record = found[Kind.ACTIVATION, name]
            if step:
                distance = np.linalg.norm(mean - before[name])
                np.testing.assert_allclose(record.values["shift"], distance, 1e-5)
                np.testing.assert_allclose(
                    record.values["relative_shift"], distance / np.linalg.norm(before[name]), 1e-5
                )
            else:
                assert "shift" not in record.values
            before[name] = mean
        for each, weight, gradient in zip(data.model.weights, weights, gradients, strict=True):
            size = np.linalg.norm(weight)
            ratio = 0.1 * np.linalg.norm(gradient) / size if size else math.inf
            np.testing.assert_allclose(found[Kind.WEIGHT, each.path].values["update_ratio"], ratio, 1e-3)
        weights = [weight - 0.1 * gradient for weight, gradient in zip(weights, gradients, strict=True)]


def test_a_statistic_added_to_the_list_alone_is_recorded_and_reaches_parquet(tmp_path, monkeypatch):
    added = statistic_names.Statistic("range", "extrema", derive=lambda row: row["max"] - row["min"])
    monkeypatch.setattr(statistic_names, "STATISTICS", (*statistic_names.STATISTICS, added))
    records = Data().fit(Watch("hidden", every=2, statistics=("extrema",), sinks=[tmp_path]))
    ranges = [record.values["max"] - record.values["min"] for record in records]
    assert min(ranges) > 0
    assert [record.values["range"] for record in records] == ranges
    assert pd.read_parquet(tmp_path / "tensors")["range"].tolist() == ranges


def test_watch_records_listed_statistics_only():
    records = Data().fit(Watch(every=1, statistics=EVERYTHING, gradients=("activation", "weight")))
    assert {name for record in records for name in record.values} == set(statistic_names.statistic_names())


def test_the_cap_takes_the_first_rows_and_says_so():
    data = Data()
    weights = data.model.get_weights()
    records = data.fit(Watch("hidden", every=10, max_elements=9))  # 4 features: 2 rows
    hidden = data.forward(0, weights)[0][Kind.ACTIVATION, "hidden"][:2]
    assert records[0].values["n"] == 8
    np.testing.assert_allclose(records[0].values["norm"], np.linalg.norm(hidden), 1e-5)


@pytest.mark.parametrize("policy", ["float32", "mixed_float16", "mixed_bfloat16"])
def test_the_scale_of_a_scaled_loss_is_divided_out(policy):
    found = {}
    for name in ("plain", "scaled"):
        keras.utils.set_random_seed(3)
        hidden = keras.layers.Dense(4, name="hidden", dtype="float32" if name == "plain" else policy)
        model = keras.Sequential([keras.Input((5,)), hidden, keras.layers.Dense(2)])
        optimizer = keras.optimizers.SGD(0.1)
        model.compile(optimizer if name == "plain" else keras.optimizers.LossScaleOptimizer(optimizer, 1024.0), "mse")
        watch = Watch("hidden", every=10, gradients=("activation", "weight"))
        x = np.linspace(-1, 1, 40, dtype="float32").reshape(8, 5)
        model.fit(x, x[:, :2], batch_size=8, shuffle=False, verbose=0, callbacks=[watch])
        found[name] = [(record.kind, record.values["norm"]) for record in watch.history.tensors]
    for (kind, norm), (_, scaled) in zip(found["plain"], found["scaled"], strict=True):
        np.testing.assert_allclose(scaled, norm, 1e-5 if policy == "float32" else 0.02, 1e-3, err_msg=kind)
