"""Under torch.compile a reference layer is compiled once for each kind of call, not again and again."""

import copy

import keras
import numpy as np
import pytest
from keras import ops
from test_layers_in_models import CASES

from layer_tools import OLD_KERAS
from layerwright.core.case import InputSpec

pytestmark = pytest.mark.skipif(keras.backend.backend() != "torch", reason="torch compiles so, and no other backend")
FEW_CALLS = 4


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.layer.__name__)
def test_calls_with_the_same_shapes_are_compiled_once(case):
    import torch

    torch._dynamo.reset()
    compiled = []

    def backend(graph, _):
        compiled.append(graph)
        return graph.forward

    rng = np.random.default_rng(0)
    layer = case.layer(**copy.deepcopy(dict(case.init)))
    inputs = ops.convert_to_tensor(case.inputs.sample(rng, case.inputs.concrete(3)))
    call = {
        name: ops.convert_to_tensor(given.sample(rng, given.concrete(3))) if isinstance(given, InputSpec) else given
        for name, given in case.call.items()
    }
    expected = layer(inputs, **call)
    if layer.losses:
        pytest.skip("Keras's add_loss makes a new list at each call, for which torch compiles anew")
    function = torch.compile(layer, backend=backend)
    with torch.no_grad():
        counts, outputs = [], None
        for _ in range(FEW_CALLS):
            outputs = function(inputs, **call)
            counts.append(len(compiled))
    if OLD_KERAS and not counts[0]:
        pytest.skip(
            "Keras 3.10 looks through arguments with optree, which torch does not compile: the layer runs eagerly"
        )
    assert counts[0] > 0
    assert counts[-1] == counts[1], f"graphs compiled after each call: {counts}"
    if not case.traits.stateful:
        np.testing.assert_allclose(ops.convert_to_numpy(outputs), ops.convert_to_numpy(expected.detach()), 1e-5, 1e-5)
