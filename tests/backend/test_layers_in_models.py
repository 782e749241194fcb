"""Every reference layer inside a model: trained with a smaller last batch, saved, loaded, trained on, exported."""

import copy

import keras
import numpy as np
import pytest
from keras import ops
from test_layers_conform import MODULES

from layer_tools import OLD_KERAS
from layerwright import backends
from layerwright.core.case import Case, InputSpec
from layerwright.layers import BatchAwareSquare, BatchDelta, CustomInitLayer, batch_delta

ROWS, BATCH = 5, 2
CASES = [
    *(module.CASES[0] for module in MODULES if module is not batch_delta),
    Case(BatchDelta, {"batch_size": 4, "first": "input"}, (None, 6, 5)),
]
ALIASES = [
    Case(CustomInitLayer, {"units": 3}, (None, 5)),
    Case(BatchAwareSquare, {}, (None, 5)),
]


def model_of(case, free=True):
    """A model of the case's layer, its call arguments and one dense unit; `free` leaves all sizes open that may be."""
    specs = {"inputs": case.inputs, **{name: spec for name, spec in case.call.items() if isinstance(spec, InputSpec)}}
    shapes = {name: spec.shape if free else spec.concrete(1) for name, spec in specs.items()}
    symbols = {name: keras.Input(shapes[name][1:], dtype=spec.dtype, name=name) for name, spec in specs.items()}
    rest = {name: symbols.get(name, value) for name, value in case.call.items()}
    outputs = case.layer(**copy.deepcopy(dict(case.init)))(symbols["inputs"], **rest)
    pooled = ops.mean(ops.cast(outputs, "float32"), axis=list(range(1, len(outputs.shape))), keepdims=False)
    model = keras.Model(list(symbols.values()), keras.layers.Dense(1)(ops.expand_dims(pooled, -1)))
    rng = np.random.default_rng(0)
    return model, [spec.sample(rng, spec.concrete(ROWS)) for spec in specs.values()]


@pytest.mark.parametrize("case", [*CASES, *ALIASES], ids=lambda case: case.layer.__name__)
def test_it_is_trained_saved_loaded_and_trained_on(case, tmp_path):
    keras.utils.set_random_seed(0)
    model, arrays = model_of(case)
    targets = np.linspace(-1, 1, ROWS)[:, None]
    model.compile("adam", "mse")
    history = model.fit(arrays, targets, batch_size=BATCH, epochs=2, verbose=0).history["loss"]
    assert np.isfinite(history).all()

    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    expected = model.predict(arrays, batch_size=BATCH, verbose=0)
    np.testing.assert_array_equal(loaded.predict(arrays, batch_size=BATCH, verbose=0), expected)
    again = [each.fit(arrays, targets, batch_size=BATCH, shuffle=False, verbose=0) for each in (model, loaded)]
    np.testing.assert_allclose(again[0].history["loss"], again[1].history["loss"], 1e-5)


@pytest.mark.skipif(
    OLD_KERAS and keras.backend.backend() == "torch", reason="Keras 3.10 exports nothing that torch can run"
)
@pytest.mark.filterwarnings("ignore:The `native_serialization` parameter")  # Keras passes it to JAX
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.layer.__name__)
def test_it_is_exported(case, tmp_path):
    model, arrays = model_of(case, free=False)  # Keras exports only the batch axis free
    rows = 1 if backends.current().NAME == "torch" else 3  # Keras exports to torch for one size of batch
    served = backends.current().exported(model, str(tmp_path))
    few = [array[:rows] for array in arrays]
    (outputs,) = keras.tree.flatten(served(few))
    np.testing.assert_allclose(ops.convert_to_numpy(outputs), model.predict(few, verbose=0), 1e-4, 1e-5)
