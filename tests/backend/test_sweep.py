"""Variants that a layer's constructor suggests."""

from typing import Literal

import keras
import pytest

import layerwright as lw
from layerwright.cases.sweep import suggested, variant


class Pool(keras.layers.Layer):
    """Pools over time.

    Args:
        mode: One of `"mean"`, `"sum"` or `"max"`.
        keepdims: Whether the time axis stays.
    """

    def __init__(self, mode="mean", keepdims=False, **kwargs):
        super().__init__(**kwargs)
        if mode not in ("mean", "sum", "max"):
            raise ValueError(f"mode must be mean, sum or max (got {mode!r})")
        self.mode, self.keepdims = mode, keepdims

    def call(self, inputs):
        axis = 0 if self.mode == "max" and self.keepdims else 1
        return getattr(keras.ops, self.mode)(inputs, axis=axis, keepdims=self.keepdims)


class Fold(keras.layers.Layer):
    def __init__(self, how: Literal["even", "odd"] = "even", stateful=False, activation="relu", **kwargs):
        super().__init__(**kwargs)
        self.how, self.stateful, self.activation = how, stateful, activation

    def call(self, inputs):
        return inputs[:, (self.how == "odd") :: 2]


def values(case, name):
    return {changed[name] for changed in suggested(case) if name in changed}


def test_documented_values_and_flags_are_varied():
    case = lw.Case(Pool, inputs=(None, 10, 5))
    assert values(case, "mode") >= {"sum", "max"}
    assert values(case, "keepdims") == {True, False}


def test_annotated_values_are_varied_and_what_changes_claims_is_not():
    case = lw.Case(Fold, inputs=(None, 10, 5))
    assert values(case, "how") == {"odd"}
    assert not values(case, "stateful")
    assert not values(case, "activation")


def test_values_that_the_layer_refuses_are_left_out():
    assert "causal" not in values(lw.Case(keras.layers.MaxPooling2D, inputs=(None, 8, 9, 3)), "padding")
    assert "same" in values(lw.Case(keras.layers.MaxPooling2D, inputs=(None, 8, 9, 3)), "padding")


def test_the_batch_axis_is_never_suggested():
    for changed in suggested(lw.Case(keras.layers.Softmax, inputs=(None, 5))):
        assert changed["axis"] % 2 != 0


def test_channels_move_with_the_data_format():
    case = lw.Case(keras.layers.MaxPooling2D, inputs=(None, 8, 9, 3))
    moved = variant(case, {"data_format": "channels_first"})
    assert moved.inputs.shape == (None, 3, 8, 9)
    assert moved.traits.time_axis == 2
    assert variant(moved, {"data_format": "channels_last"}).inputs.shape == (None, 8, 9, 3)


def test_a_layer_from_a_function_is_not_swept():
    assert suggested(lw.Case(lambda: Pool(), inputs=(None, 10, 5))) == []


def test_a_sweep_finds_what_the_defaults_hide():
    assert lw.check(Pool, inputs=(None, 10, 5), select=["LW305"]).ok
    report = lw.check(Pool, inputs=(None, 10, 5), select=["LW305"], sweep=True)
    (failure,) = [run for run in report.runs if any(finding.outcome == "failed" for finding in run.findings)]
    assert "mode='max', keepdims=True" in failure.case


@pytest.mark.parametrize("layer", [keras.layers.LayerNormalization, keras.layers.GlobalAveragePooling1D])
def test_sound_layers_stay_sound(layer):
    report = lw.check(layer, inputs=(None, 6, 5), select=["LW1", "LW2", "LW3"], sweep=True)
    assert report.ok, str(report)
    assert len(report.runs) > 1
