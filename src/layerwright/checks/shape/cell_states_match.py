"""LW210 cell-states-match."""

import inspect
from typing import Any

import numpy as np

from layerwright.core.case import Case
from layerwright.core.check import check
from layerwright.core.finding import Finding, failed, passed, skipped
from layerwright.trial.subject import lively
from layerwright.trial.trial import Trial

FIX = (
    "Return `(output, states)` from `call`, with as many states as `state_size` lists, each of shape (batch, size); or "
    "correct `state_size`."
)


@check("LW210", "cell-states-match", requires=("LW102",))
def cell_states_match(trial: Trial) -> Finding:
    """A recurrent cell returns the states that its `state_size` declares.

    What it proves:
        `call(inputs, states)` returns an output and new states: as many as `state_size` lists, each of shape
        (batch, size).

    Why it matters:
        `keras.layers.RNN` carries the states from step to step. If a cell returns fewer, RNN fails far from the cause,
        or a state keeps its initial value for the whole sequence.

    How it is tested:
        The cell is called once on the inputs and states of the case, and what it returns is compared with `state_size`.

    Exempt when:
        The layer has no `state_size`, or its `call` takes no states.

    References:
        keras.io/api/layers/recurrent_layers/rnn, "cell".
    """
    layer = lively(trial)
    declared = _declared_sizes(layer)
    if declared is None or not _takes_states(layer):
        return skipped("the layer is no recurrent cell")
    outputs = trial.call(layer, trial.usual)
    if not isinstance(outputs, (list, tuple)) or len(outputs) != 2:
        return failed("call returned no pair; expected (output, states)", FIX)
    import keras

    states = [np.shape(state) for state in keras.tree.flatten(outputs[1])]
    expected = [(trial.batch, *size) for size in declared]
    if states != expected:
        return failed(
            f"state_size declares states of shape {_listed(expected)}, but call returned {_listed(states)}; expected "
            "the same states",
            FIX,
        )
    return passed(states=[str(shape) for shape in states])


def _takes_states(layer: Any) -> bool:
    """Whether `call` requires the states as its second argument, as the cell of a recurrent layer does."""
    parameters = list(inspect.signature(layer.call).parameters.values())[1:2]
    return any(one.name in ("states", "state") and one.default is one.empty for one in parameters)


def _listed(shapes: list[tuple[int, ...]]) -> str:
    return ", ".join(map(str, shapes)) or "no states"


def _declared_sizes(layer: Any) -> list[tuple[int, ...]] | None:
    """Return the shape of each state without the batch axis; None if the layer declares none."""
    size = getattr(layer, "state_size", None)
    sizes = list(size) if isinstance(size, (list, tuple)) else [size]
    known: list[tuple[int, ...]] = [(one,) for one in sizes if isinstance(one, int) and not isinstance(one, bool)]
    return known if len(known) == len(sizes) else None


def bad() -> Case:
    import keras

    class ForgetsAState(keras.layers.Layer):
        def __init__(self, units=5, **kwargs):
            super().__init__(**kwargs)
            self.units = units
            self.state_size = [units, units]
            self.output_size = units

        def call(self, inputs, states):
            output = keras.ops.tanh(inputs + states[0] - states[1])
            return output, [output]

    return Case(ForgetsAState, inputs=(None, 5), call={"states": [(None, 5), (None, 5)]})


def good() -> Case:
    import keras

    class KeepsBothStates(keras.layers.Layer):
        def __init__(self, units=5, **kwargs):
            super().__init__(**kwargs)
            self.units = units
            self.state_size = [units, units]
            self.output_size = units

        def call(self, inputs, states):
            output = keras.ops.tanh(inputs + states[0] - states[1])
            return output, [output, states[0]]

    return Case(KeepsBothStates, inputs=(None, 5), call={"states": [(None, 5), (None, 5)]})
