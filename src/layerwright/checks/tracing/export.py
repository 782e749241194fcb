"""LW806."""

import inspect
import tempfile
from typing import Any

from layerwright.backends import installed
from layerwright.checks.tracing._programs import Untraceable, require_jit, tracing
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

TRAINS_FIX = (
    "Write call(self, inputs, training=None) and act as in inference unless it is True: predict() passes "
    "training=False, an exported model passes nothing."
)
FIX = (
    "Compute with keras.ops on tensors and the layer's own variables alone, and ask for sizes with ops.shape(x)[axis]."
)


@check(
    "LW806",
    "export",
    requires=("LW202", "LW208", "LW303", "LW801", "LW804"),
    exempt={"fixed_shape": True, "stateful": True},
)
def export(trial: Trial) -> Finding:
    """`model.export` works on a model that holds the layer, and the exported model computes what the layer does.

    What it proves:
        The exported program can be written, loaded without the layer's code, and gives the outputs of inference, at
        two batch sizes.

    Why it matters:
        What is served is the exported model. It is traced once, with nobody saying that this is inference: a layer
        whose `training` is True by default augments, or drops, what it should predict from.

    How it is tested:
        A functional model around the layer, its batch size unknown, is exported: as a SavedModel on TensorFlow and
        JAX, as a program of `torch.export` on torch. That is loaded and run, and held against the layer called with
        `training=False`. Keras exports for a batch of one on torch, so that is the size it is run at there. What JAX
        or torch cannot trace in functions of their own or of Keras's is reported as not probed.

    Exempt when:
        The layer declares `fixed_shape` or `stateful`.

    References:
        keras.io, `Model.export`; tensorflow.org/guide/saved_model.
    """
    name, layer = trial.backend.NAME, build(trial, trial.construct())
    copy_weights(lively(trial), layer)
    if name == "jax" and "tensorflow" not in installed():
        return inconclusive("Keras exports by way of TensorFlow on JAX, and TensorFlow is not installed")
    try:
        require_jit(layer, next(iter(trial.backend.compilers())))
        model = functional(trial, layer, free_batch=True)
        with tempfile.TemporaryDirectory() as folder:
            return _compared(trial, layer, model, folder)
    except Untraceable as reason:
        return inconclusive(str(reason))
    except LayerError as error:
        if "Unrecognized format" in str(error.error):
            return inconclusive("this version of Keras exports nothing on torch that torch alone can run")
        if name == "tensorflow" or is_asked_by_layer(stack_of(error.error, layer)):
            return failed(f"{error.doing} raised {quote(error.error)}", FIX)
        return inconclusive(f"{error.doing} raised {quote(error.error)}, in a function of Keras or {name}")


def _compared(trial: Trial, layer: Any, model: Any, folder: str) -> Finding:
    import keras

    worst = 0.0
    with tracing(layer, "model.export()"):
        program = trial.backend.exported(model, folder)
    for arguments in _batches(trial):
        with blaming(f"running the exported model on {describe(arguments)}"):
            outputs = [keras.ops.convert_to_numpy(leaf) for leaf in leaves(program(arguments.arrays()))]
        expected = leaves(trial.call(layer, arguments, training=False))
        difference = largest_difference(expected, outputs)
        if difference > tolerance(trial) and draws(trial):
            return inconclusive("the layer draws random numbers, or keeps state, in inference")
        if difference > tolerance(trial):
            return failed(
                f"the exported model, run on {describe(arguments)}, differs by {difference:.3g} of scale from the "
                f"layer called with training=False; expected at most {tolerance(trial):g}",
                TRAINS_FIX if _trains_by_default(layer) else FIX,
            )
        worst = max(worst, difference)
    return passed(difference=worst)


def _batches(trial: Trial) -> list[Arguments]:
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
