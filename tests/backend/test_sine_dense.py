"""`SineDense`: against its NumPy reference, its initialisation, and what that is for."""

import keras
import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from keras import ops

from layer_tools import (
    FEW,
    TOLERANCES,
    assert_close,
    assert_gradients,
    compiled,
    moved,
    run,
    series,
    weights_of,
)
from layerwright.layers import CustomNonLinear, SineDense
from layerwright.layers.sine_dense import reference


def built(units=4, features=5, **options):
    layer = SineDense(units, **options)
    layer.build((None, features))
    return layer


@FEW
@given(data=st.data())
def test_is_its_reference(data):
    policy = data.draw(st.sampled_from(sorted(TOLERANCES)), label="policy")
    w0 = data.draw(st.sampled_from([1.0, 3.0]), label="w0")
    layer = moved(
        built(w0=w0, use_bias=data.draw(st.booleans()), is_first=data.draw(st.booleans()), seed=1, dtype=policy)
    )
    x = series(data.draw(st.integers(0, 4), label="batch"))
    assert_close(run(layer, x), reference(x, weights_of(layer), w0=w0), policy)


def test_initialisation_is_that_of_siren():
    first, hidden = built(400, 50, is_first=True, seed=0), built(400, 50, seed=0)
    for layer, within in ((first, 1 / 50), (hidden, np.sqrt(6 / 50) / 30)):
        kernel, bias = weights_of(layer)
        assert 0.98 * within < np.abs(kernel).max() <= within
        assert 0.9 / np.sqrt(50) < np.abs(bias).max() <= 1 / np.sqrt(50)
        assert np.abs(np.corrcoef(kernel[0], bias)[0, 1]) < 0.2


def test_every_layer_of_a_deep_network_sees_the_same_spread():
    keras.utils.set_random_seed(0)
    x, spreads = np.linspace(-1, 1, 500)[:, None].astype("float32"), []
    for number in range(6):
        x = run(SineDense(256, is_first=number == 0), x).astype("float32")
        spreads.append(x.std())
    assert 0.6 < min(spreads) <= max(spreads) < 0.8


def test_high_frequencies_survive_half_precision():
    x = np.linspace(-1, 1, 64)[:, None].astype("float16")
    layer = built(8, 1, is_first=True, seed=0, dtype="mixed_float16")
    np.testing.assert_allclose(run(layer, x), reference(x, weights_of(layer)), 1e-3, 1e-3)


def test_a_learned_frequency_is_a_weight():
    layer = built(learn_frequency=True)
    assert [weight.name for weight in layer.trainable_weights] == ["kernel", "bias", "frequency"]
    assert float(ops.convert_to_numpy(layer.frequency)) == 30.0


def test_gradient_by_finite_differences():
    layer = built(w0=1.0, learn_frequency=True)
    assert_gradients(lambda x: ops.sum(layer(x) ** 2), series(1)[0])


def test_compiled_equals_eager():
    layer, x = built(learn_frequency=True), ops.convert_to_tensor(series())
    assert_close(run(compiled(lambda x: layer(x)), x), run(layer, x))


def test_the_alias_is_the_same_class():
    assert CustomNonLinear is SineDense
