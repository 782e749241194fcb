"""LW806 export."""

import inspect
import tempfile
from typing import Any

from layerwright.backends import installed
from layerwright.checks.tracing._programs import Untraceable, blaming_unless_untraceable, require_jit
from layerwright.core.case import Case
from layerwright.core.check import check
from layerwright.core.errors import LayerError, quote
from layerwright.core.finding import Finding, failed, inconclusive, passed
from layerwright.trial.arguments import Arguments, describe
from layerwright.trial.compare import largest_difference, leaves
from layerwright.trial.models import build, functional
from layerwright.trial.subject import draws, lively, tolerance
from layerwright.trial.tracebacks import is_asked_by_layer, stack_of
from layerwright.trial.trial import Trial, blaming, copy_weights

TRAINING_DEFAULT_FIX = (
    "Write `def call(self, inputs, training=False)`. `predict()` passes `training=False`, but an exported model "
    "passes no value, so the default applies."
)
FIX = "Compute only with `keras.ops` on tensors and the layer's variables. Read sizes with `ops.shape(x)[axis]`."


@check(
    "LW806",
    "export",
    requires=("LW202", "LW208", "LW303", "LW801", "LW804", "LW903"),
    exempt={"fixed_shape": True, "stateful": True},
    models=True,
)
def export(trial: Trial) -> Finding:
    """A model that contains the layer can be exported, and the exported model gives the same outputs.

    What it proves:
        `model.export` can write the model. The exported model loads without the layer's code and gives the outputs of
        inference, at two batch sizes.

    Why it matters:
        The exported model is what runs in production. It is traced once, without a value for `training`. If the
        layer's `call` has the default `training=True`, the exported model applies dropout or augmentation to the inputs
        of every prediction.

    How it is tested:
        The check exports a functional model around the layer, with an unknown batch size: as a SavedModel on TensorFlow
        and JAX, and with `torch.export` on torch. It loads and runs the exported model, and compares it with the layer
        called with `training=False`. On torch, Keras exports for a batch of one sample, so only that size is run. If
        JAX or torch cannot trace one of their own or Keras's functions, the result is inconclusive.

    Exempt when:
        The layer declares `fixed_shape` or `stateful`.

    References:
        keras.io, `Model.export`; tensorflow.org/guide/saved_model.
    """
    name, layer = trial.backend.NAME, build(trial, trial.construct())
    copy_weights(lively(trial), layer)
    if name == "jax" and "tensorflow" not in installed():
        return inconclusive("Keras needs TensorFlow to export a model on JAX, and TensorFlow is not installed")
    try:
        require_jit(layer, next(iter(trial.backend.compilers())))
        model = functional(trial, layer, free_batch=True)
        with tempfile.TemporaryDirectory() as folder:
            return _compare_exported(trial, layer, model, folder)
    except Untraceable as reason:
        return inconclusive(str(reason))
    except LayerError as error:
        if "Unrecognized format" in str(error.error):
            return inconclusive("this version of Keras cannot export a model on torch in a format that torch can run")
        if name == "tensorflow" or is_asked_by_layer(stack_of(error.error, layer)):
            return failed(f"{error.doing} raised {quote(error.error)}", FIX)
        return inconclusive(
            f"{error.doing} raised {quote(error.error)} in a function of Keras or {name}, not in the layer"
        )


def _compare_exported(trial: Trial, layer: Any, model: Any, folder: str) -> Finding:
    import keras

    worst = 0.0
    with blaming_unless_untraceable(layer, "model.export()"):
        program = trial.backend.exported(model, folder)
    for arguments in _batches_to_run(trial):
        with blaming(f"running the exported model on {describe(arguments)}"):
            outputs = [keras.ops.convert_to_numpy(leaf) for leaf in leaves(program(arguments.arrays()))]
        expected = leaves(trial.call(layer, arguments, training=False))
        difference = largest_difference(expected, outputs)
        if difference > tolerance(trial) and draws(trial):
            return inconclusive("the layer draws random numbers or changes its state in inference")
        if difference > tolerance(trial):
            return failed(
                f"on {describe(arguments)}, the outputs of the exported model differ from those of the layer called "
                f"with training=False by {difference:.3g}, relative to their largest value; expected at most "
                f"{tolerance(trial):g}",
                TRAINING_DEFAULT_FIX if _trains_by_default(layer) else FIX,
            )
        worst = max(worst, difference)
    return passed(difference=worst)


def _batches_to_run(trial: Trial) -> list[Arguments]:
    if trial.backend.NAME == "torch":
        return [trial.usual.rows(slice(0, 1))]
    return [trial.usual, trial.usual.rows(slice(0, trial.batch - 1))]


def _trains_by_default(layer: Any) -> bool:
    training = inspect.signature(layer.call).parameters.get("training")
    return training is not None and training.default is True


def bad() -> Case:
    return _dimmed(by_default=True)


def good() -> Case:
    return _dimmed(by_default=None)


def _dimmed(by_default: bool | None) -> Case:
    import keras

    class Dims(keras.layers.Layer):
        def call(self, inputs, training=by_default):
            return inputs * 0.5 if training else inputs

        def compute_output_shape(self, input_shape):
            return input_shape

    return Case(Dims, inputs=(None, 5))
