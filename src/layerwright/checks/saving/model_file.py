"""LW706 model-file."""

import json
import tempfile
import zipfile
from pathlib import Path
from typing import Any

from layerwright.checks.saving._config import LOADING_SEED_OFFSET
from layerwright.checks.saving._names import custom_names_in, custom_objects
from layerwright.core.case import Case
from layerwright.core.check import check
from layerwright.core.errors import LayerError
from layerwright.core.finding import Finding, failed, note, passed
from layerwright.trial.models import (
    align_seeds,
    computes_otherwise,
    functional,
    lost_weights,
    move_weights,
    refuses_code,
)
from layerwright.trial.trial import Trial, blaming

FIX = (
    "Make `from_config(get_config())` and `build_from_config(get_build_config())` rebuild the layer. A shape read from "
    "JSON is a list: write `(*input_shape[:-1], units)` instead of `input_shape[:-1] + (units,)`."
)


@check("LW706", "model-file", requires=("LW703", "LW707"), needs_tensors=True, models="config")
def model_file(trial: Trial) -> Finding:
    """A model that contains the layer can be saved to a `.keras` file and loaded with the same weights and outputs.

    What it proves:
        The loaded model has the saved weights and gives the same outputs. Loading needs only registered classes and,
        as `custom_objects`, the classes and functions that the file names and that are not registered.

    Why it matters:
        After training, only the file is left. If it lacks something, the session that saved it still works, and the
        process that loads it fails or gives other outputs.

    How it is tested:
        The check changes the layer's weights from their initial values, saves a functional model around the layer, and
        loads the file under other global seeds. It passes, as `custom_objects`, the classes and functions that the
        file's config.json names and that Keras does not know. A note, not a failure, says that `custom_objects` are
        needed, or that the file contains code (a lambda or a pickle), which Keras loads only with `safe_mode=False`.

    Exempt when:
        Never.

    References:
        keras.io, "Save, serialize, and export models"; keras.io, `register_keras_serializable`.
    """
    import keras

    layer = trial.construct()
    model = functional(trial, layer)
    move_weights(layer)
    outputs = trial.call(layer, trial.usual)
    known = custom_objects(trial, layer)
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder, "model.keras"))
        with blaming("saving a .keras file"):
            model.save(path)
        with zipfile.ZipFile(path) as archive:
            named = dict(custom_names_in(json.loads(archive.read("config.json"))))
        needed = sorted(name for name in named if keras.saving.get_registered_object(name) is None)
        given = {name: known[name] for name in needed if name in known}
        keras.utils.set_random_seed(trial.seed + LOADING_SEED_OFFSET)
        try:
            loaded, has_code = _load_model(path, given)
        except LayerError as error:
            return failed(str(error), FIX, custom_objects=needed)
    align_seeds(model, loaded)
    difference = lost_weights(model, loaded) or computes_otherwise(trial, layer, outputs, loaded, model=True)
    if difference:
        return failed(f"after saving and loading a .keras file, {difference}", FIX, custom_objects=needed)
    return _finding_for_loaded(
        needed, sorted({module for name, module in named.items() if name not in needed}), has_code
    )


def _load_model(path: str, given: dict[str, Any]) -> tuple[Any, bool]:
    """Return the model in the file, and whether it contains code that Keras refuses to load in safe mode."""
    import keras

    try:
        with blaming("loading the .keras file"):
            return keras.models.load_model(path, custom_objects=given, compile=False), False
    except LayerError as error:
        if not refuses_code(error):
            raise
    with blaming("loading the .keras file with safe_mode=False"):
        return keras.models.load_model(path, custom_objects=given, compile=False, safe_mode=False), True


def _finding_for_loaded(needed: list[str], modules: list[str], has_code: bool) -> Finding:
    """Return what to say of a file that loaded correctly: what is needed to load it elsewhere."""
    if has_code:
        return note(
            "the .keras file contains code (a lambda or a pickle), so it loads only with safe_mode=False and only in "
            "the same Python version",
            "Replace the lambda or pickled object by a named function or class decorated with "
            "`@keras.saving.register_keras_serializable(package=…)`.",
            custom_objects=needed,
        )
    if needed:
        names = ", ".join(needed)
        pairs = ", ".join(f"{name!r}: {name}" for name in needed)
        return note(
            f"the .keras file loads only with custom_objects={{{pairs}}}",
            f"Decorate {names} with `@keras.saving.register_keras_serializable(package=…)`, or pass "
            f"`custom_objects={{{pairs}}}` to `load_model()`.",
            custom_objects=needed,
        )
    return passed(f"loads after importing {', '.join(modules)}" if modules else "")


def bad() -> Case:
    import keras

    class Projection(keras.layers.Layer):
        def build(self, input_shape):
            units = (3,)
            self.kernel = self.add_weight(shape=input_shape[-1:] + units, name="kernel")

        def call(self, inputs):
            return keras.ops.matmul(inputs, self.kernel)

    return Case(Projection, inputs=(None, 5))


def good() -> Case:
    import keras

    class Projection(keras.layers.Layer):
        def build(self, input_shape):
            self.kernel = self.add_weight(shape=(input_shape[-1], 3), name="kernel")

        def call(self, inputs):
            return keras.ops.matmul(inputs, self.kernel)

    return Case(Projection, inputs=(None, 5))
