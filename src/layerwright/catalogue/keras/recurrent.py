"""Recurrent layers, their cells and the wrappers over time."""

from typing import Any

from layerwright.catalogue.keras._row import Row, row
from layerwright.core.case import InputSpec

SEQUENCE = (None, None, 5)
SHORT = (None, 2, 5)
"""Two steps, for variants: on TensorFlow each step is a score of eager operations."""
STATE = InputSpec((None, 3))
MASK: dict[str, Any] = {"mask": InputSpec((None, None), "bool")}
CAUSAL = {"causal": True}
RANDOM: dict[str, Any] = {"random": True}
STATEFUL = {"stateful": True, "fixed_shape": True}
SEQUENCES: dict[str, Any] = {"return_sequences": True}


def rows() -> list[Row]:
    """Return the rows of this family."""
    return [*_layer_rows(), *_cell_rows(), *_wrapper_rows(), *_convolutional_rows()]


def _layer_rows() -> list[Row]:
    return [
        row("GRU", SEQUENCE, units=3),
        row("GRU", SEQUENCE, units=3, call=MASK, traits=CAUSAL, **SEQUENCES),
        row("GRU", SHORT, units=3, reset_after=False, go_backwards=True, return_state=True),
        row("GRU", SHORT, units=3, dropout=0.3, recurrent_dropout=0.3, traits=RANDOM),
        row("LSTM", SEQUENCE, units=3),
        row("LSTM", SHORT, units=3, use_bias=False, traits=CAUSAL, **SEQUENCES),
        row("LSTM", SEQUENCE, units=3, call=MASK),
        row("LSTM", SHORT, units=3, call={"initial_state": [STATE, STATE]}, return_state=True),
        row("LSTM", SHORT, units=3, unroll=True, go_backwards=True),
        row("LSTM", SHORT, units=3, stateful=True, traits=STATEFUL),
        row("LSTM", SHORT, units=3, dropout=0.3, traits=CAUSAL | RANDOM, **SEQUENCES),
        row("SimpleRNN", SEQUENCE, units=3),
        row(
            "SimpleRNN", SEQUENCE, units=3, call=MASK, activation="relu", traits=CAUSAL | {"smooth": False}, **SEQUENCES
        ),
        row("SimpleRNN", SHORT, units=3, recurrent_dropout=0.3, go_backwards=True, traits=RANDOM),
    ]


def _cell_rows() -> list[Row]:
    layers = _layers()

    def stack() -> list[Any]:
        return [layers.GRUCell(3), layers.LSTMCell(3)]

    return [
        row("GRUCell", (None, 5), units=3, call={"states": [STATE]}),
        row("GRUCell", (None, 5), units=3, reset_after=False, use_bias=False, call={"states": [STATE]}),
        row("LSTMCell", (None, 5), units=3, call={"states": [STATE, STATE]}),
        row("SimpleRNNCell", (None, 5), units=3, dropout=0.3, call={"states": [STATE]}, traits=RANDOM),
        row("StackedRNNCells", (None, 5), cells=stack(), call={"states": [STATE, [STATE, STATE]]}),
        row("RNN", SHORT, cell=layers.LSTMCell(3)),
        row("RNN", SEQUENCE, cell=layers.GRUCell(3), call=MASK, zero_output_for_mask=True, traits=CAUSAL, **SEQUENCES),
        row("RNN", SHORT, cell=layers.StackedRNNCells(stack()), return_state=True),
        row("RNN", SEQUENCE, cell=[layers.SimpleRNNCell(3), layers.SimpleRNNCell(2)], traits=CAUSAL, **SEQUENCES),
    ]


def _wrapper_rows() -> list[Row]:
    layers = _layers()
    sequences = layers.LSTM(3, return_sequences=True)
    step = {"causal": True, "receptive_field": 1}
    return [
        row("Bidirectional", SEQUENCE, layer=layers.LSTM(3)),
        row("Bidirectional", SEQUENCE, layer=sequences, call=MASK, merge_mode="sum"),
        row("Bidirectional", SHORT, layer=layers.GRU(3, return_sequences=True), merge_mode=None),
        row("TimeDistributed", SEQUENCE, layer=layers.Dense(3), traits=step),
        row("TimeDistributed", (None, 5, 6, 7, 3), layer=layers.Conv2D(2, 3), traits=step),
        row("TimeDistributed", SEQUENCE, layer=layers.Dropout(0.5), traits=step | RANDOM),
    ]


def _convolutional_rows() -> list[Row]:
    return [
        row("ConvLSTM1D", (None, None, 6, 3), filters=2, kernel_size=3),
        row("ConvLSTM1D", (None, 2, 6, 3), filters=2, kernel_size=3, padding="same", traits=CAUSAL, **SEQUENCES),
        row("ConvLSTM2D", (None, None, 5, 6, 3), filters=2, kernel_size=3),
        row("ConvLSTM2D", (None, 2, 5, 6, 3), filters=2, kernel_size=2, padding="same", dropout=0.3, traits=RANDOM),
        row("ConvLSTM3D", (None, 2, 4, 5, 6, 3), filters=2, kernel_size=2),
    ]


def _layers() -> Any:
    import keras

    return keras.layers
