"""LW706."""

import json
import tempfile
import zipfile
from pathlib import Path
from typing import Any

from layerwright.checks.saving._config import OWN_SEED
from layerwright.checks.saving._names import custom_objects, named_in
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
    "Keras rebuilds the layer with from_config(get_config()), then build_from_config(get_build_config()), where shapes "
    "come out of JSON as lists: write `(*input_shape[:-1], units)` rather than `input_shape[:-1] + (units,)`."
)


@check("LW706", "model-file", requires=("LW703", "LW707"))
def model_file(trial: Trial) -> Finding:
    """A model that holds the layer can be saved to a `.keras` file and loaded, and computes the same.

    What it proves:
        The loaded model has the saved weights and gives equal outputs, loaded with nothing but what the file names:
        registered classes, and as `custom_objects` those that are not registered.

    Why it matters:
        The file is what outlives the training. In the session that made it everything is at hand; what is missing
        shows in the process that serves it.

    How it is tested:
        A functional model around the layer, its weights moved off their initial values, is saved. The names in the
        file's config.json that neither Keras nor its registry knows are looked up in the layer, and the model is
        loaded under other global seeds with those as `custom_objects`. That they are needed, and that the file holds
        code (a lambda, a pickle), which Keras only loads with safe_mode=False, is remarked on and no failure.

    Exempt when:
        Never.

    References:
        keras.io, "Save, serialize, and export models"; keras.io, register_keras_serializable.
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
            named = dict(named_in(json.loads(archive.read("config.json"))))
        needed = sorted(name for name in named if keras.saving.get_registered_object(name) is None)
        given = {name: known[name] for name in needed if name in known}
        keras.utils.set_random_seed(trial.seed + OWN_SEED)
        try:
            loaded, code = _loaded(path, given)
        except LayerError as error:
            return failed(str(error), FIX, custom_objects=needed)
    align_seeds(model, loaded)
    lost = lost_weights(model, loaded) or computes_otherwise(trial, layer, outputs, loaded, model=True)
    if lost:
        return failed(f"after saving and loading a .keras file, {lost}", FIX, custom_objects=needed)
    return _remark(needed, sorted({module for name, module in named.items() if name not in needed}), code)


def _loaded(path: str, given: dict[str, Any]) -> tuple[Any, bool]:
    """Return the model in the file, and whether it holds code that Keras refuses to load in safe mode."""
    import keras

    try:
        with blaming("loading its .keras file"):
            return keras.models.load_model(path, custom_objects=given, compile=False), False
    except LayerError as error:
        if not refuses_code(error):
            raise
    with blaming("loading its .keras file with safe_mode=False"):
        return keras.models.load_model(path, custom_objects=given, compile=False, safe_mode=False), True


def _remark(needed: list[str], modules: list[str], code: bool) -> Finding:
    if code:
        return note(
            "the file holds code (a lambda, a pickle), which Keras loads only with safe_mode=False, on the same Python",
            "Pass what has a name, decorated with @keras.saving.register_keras_serializable(package=…), in its place.",
            custom_objects=needed,
        )
    if needed:
        names = ", ".join(needed)
        return note(
            f"loads only with custom_objects, because these are not registered: {names}",
            f"Decorate {names} with @keras.saving.register_keras_serializable(package=…), or pass "
            f"custom_objects={{{', '.join(f'{name!r}: {name}' for name in needed)}}} to load_model().",
            custom_objects=needed,
        )
    return passed(f"loads in a process that has imported {', '.join(modules)}" if modules else "")


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
