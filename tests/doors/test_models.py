"""Models as targets: which layers of a model are checked, and how; what is said of the model itself."""

import keras
import pytest

import layerwright as lw
import models_of_users as users
from layerwright.cases.listed import find_cases
from layerwright.cases.model_files import check_is_model_file, load_model_file
from layerwright.cases.models import cases_of_model, made_by
from layerwright.cases.targets import Overrides, parse_target
from layerwright.core.errors import UsageError


def texts(cases):
    return [str(case) for case in cases]


def failures(report, layer):
    return {
        finding.code: finding.message
        for run in report.runs
        for finding in run.findings
        if run.layer == layer and finding.outcome == "failed"
    }


def test_layers_get_what_the_model_gives_them():
    whole, positions, block, pool = made_by(users.classifier)
    assert texts([whole, positions, block, pool]) == [
        "classifier() on (None, None) int32",
        "Positions() on (None, None, 8)",
        "Block(heads=2, width=8) on (None, None, 8) with mask=(None, None) bool",
        "MaskedMean() on (None, None, 8) with mask=(None, None) bool",
    ]
    assert whole.traits.model
    assert whole.inputs.high == 20  # the size of the vocabulary
    assert "in the model classifier: block, called at models_of_users.py:" in block.notes[0]
    assert {case.status for case in (whole, positions, block, pool)} == {"declared"}


def test_a_cell_inside_a_layer_of_keras_is_found():
    _, cell = made_by(users.forecaster)
    assert str(cell) == "LeakyCell(units=6) on (None, 4) with states=[(None, 6)]"
    assert "recurrent/cell" in cell.notes[0]


def test_equal_uses_are_one_case_that_names_every_place():
    unit_length = [case for case in made_by(users.two_towers) if case.layer is users.UnitLength]
    assert texts(unit_length) == ["UnitLength() on (None, 6)"]
    assert "user_tower/unit_length" in unit_length[0].notes[0]
    assert "item_tower/unit_length" in unit_length[0].notes[0]


def test_a_model_that_exists_is_taken_apart_by_its_configs():
    model = users.autoencoder()
    whole, sampling, decoder = cases_of_model(model)
    assert texts([sampling, decoder]) == [
        "Sampling(seed=1) on [(None, 3), (None, 3)]",
        "Decoder(hidden=9, width=12) on (None, 3)",
    ]
    for ours, theirs in zip(model.weights, whole.construct().weights, strict=True):
        assert keras.ops.all(ours.value == theirs.value)


def large_images():
    inputs = keras.Input((64, 64, 3))
    x = keras.layers.Conv2D(4, 3, padding="same")(inputs)
    return keras.Model(inputs, users.SqueezeExcite(name="gate")(x))


def test_large_images_are_checked_on_smaller_ones_where_the_layer_works_so():
    _, gate = made_by(large_images)
    assert str(gate) == "SqueezeExcite() on (None, 8, 8, 4)"
    assert gate.notes[1] == "checked on (None, 8, 8, 4) instead of (None, 64, 64, 4), which takes longer"


def test_batch_normalisation_couples_a_model_in_training():
    inputs = keras.Input((3,))
    whole = cases_of_model(keras.Model(inputs, keras.layers.BatchNormalization()(inputs)))[0]
    assert whole.traits.batch == "coupled-in-training"


@pytest.mark.parametrize(
    ("model", "code", "said"),
    [
        ("two_towers", "LW301", "samples first meet in `user_tower/unit_length`"),
        ("graph_network", "LW301", "samples first meet in `norm`"),
        ("classifier", "LW409", "the mask that `embedding` makes ends at `pool`"),
        ("autoencoder", "LW706", "the config of `decoder` rebuilds another layer"),
    ],
)
def test_a_finding_on_a_model_names_the_layer(model, code, said):
    report = lw.check(made_by(getattr(users, f"broken_{model}"))[0], select=[code])
    assert said in failures(report, f"broken_{model}")[code]


class SumOfSquares(keras.layers.Layer):
    def call(self, inputs):
        return keras.ops.sqrt(keras.ops.sum(keras.ops.square(100 * inputs), axis=-1, keepdims=True))


def test_half_precision_names_the_layer_at_which_it_is_lost():
    def overflowing():
        inputs = keras.Input((9,))
        x = keras.layers.Dense(8, name="dense")(inputs)
        return keras.Model(inputs, keras.layers.Dense(1)(SumOfSquares(name="length")(x)))

    report = lw.check(made_by(overflowing)[0], select=["LW505"])
    (message,) = failures(report, overflowing.__qualname__.rpartition(":")[2]).values()
    assert "under mixed_float16, not finite from `length` on" in message


def test_check_takes_a_model_and_a_function_that_builds_one():
    for model in (users.broken_two_towers(), users.broken_two_towers):
        report = lw.check(model, select=["LW301"])
        assert "LW301" in failures(report, "UnitLengthOfBatch")


def test_a_sound_model_is_clean():
    report = lw.check(users.two_towers, select=["LW3", "LW4", "LW706", "LW801"])
    assert report.ok, str(report)
    assert not report.undetermined


@pytest.fixture
def saved(tmp_path, monkeypatch):
    """A saved model with an unregistered layer, whose class this process does not know under its module's name."""

    class Unregistered(keras.layers.Layer):
        def call(self, inputs):
            return inputs

    Unregistered.__module__ = "their_layers"
    inputs = keras.Input((3,))
    keras.Model(inputs, Unregistered()(inputs)).save(tmp_path / "model.keras")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_missing_class_is_named_with_the_option_that_helps(saved):
    with pytest.raises(UsageError) as caught:
        find_cases(parse_target("model.keras"), Overrides())
    assert str(caught.value) == (
        "model.keras cannot be loaded: it contains Unregistered, which is not imported; name the file that defines it: "
        "layerwright check model.keras --import their_layers"
    )


def test_an_imported_file_gives_the_class(saved):
    (saved / "unregistered_layers.py").write_text(
        "import keras\n\nclass Unregistered(keras.layers.Layer):\n    def call(self, inputs):\n        return inputs\n"
    )
    cases = find_cases(parse_target("model.keras", ["unregistered_layers.py"]), Overrides())
    assert str(cases[1]) == "Unregistered() on (None, 3)"


def test_what_is_no_model_file_is_refused(tmp_path):
    junk = tmp_path / "junk.keras"
    junk.write_text("junk")
    with pytest.raises(UsageError, match=r"junk\.keras is not a Keras model"):
        check_is_model_file(str(junk))
    with pytest.raises(UsageError, match=r"no such file: none\.keras"):
        parse_target("none.keras")
    users.two_towers().save(tmp_path / "model.keras")
    assert load_model_file(tmp_path / "model.keras", "model.keras", []).name == "two_towers"


FUNCTIONS = """
import keras

def needs(units):
    return keras.Sequential([keras.Input((3,)), keras.layers.Dense(units)])

def fails():
    raise ValueError("no data")

def layer(units=3):
    return keras.layers.Dense(units)

model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)], name="small")
"""


def test_functions_and_models_in_a_file(tmp_path):
    path = tmp_path / "functions_of_models.py"
    path.write_text(FUNCTIONS)

    def cases(name):
        return find_cases(parse_target(f"{path}:{name}"), Overrides())

    assert texts(cases("layer")) == ["layer()"]
    assert texts(cases("model")) == ["small() on (None, 3)"]
    with pytest.raises(UsageError, match="cannot be called: it needs units; give each argument a default"):
        cases("needs")
    with pytest.raises(UsageError, match=r"fails\(\) raised ValueError: no data; it must return a model"):
        cases("fails")
