"""LW209 training-keeps-the-spec."""

from layerwright.checks.shape._shapes import output_name, output_specs
from layerwright.core.case import Case
from layerwright.core.check import check
from layerwright.core.errors import LayerError
from layerwright.core.finding import Finding, failed, passed, skipped
from layerwright.trial.subject import lively
from layerwright.trial.trial import Trial, takes_argument

FIX = (
    "Return outputs of the same shape and dtype whatever `training` is: a mask of random numbers must broadcast to the "
    "rank of the inputs, and casts must use `self.compute_dtype`."
)


@check("LW209", "training-keeps-the-spec", requires=("LW102",))
def training_keeps_the_spec(trial: Trial) -> Finding:
    """Outputs have the same structure, shapes and dtypes in training as in inference.

    What it proves:
        Called with `training=True` and with `training=False` on the same arrays, the layer returns as many tensors,
        of equal shapes and dtypes.

    Why it matters:
        A model is built once, for one shape and dtype. If training returns others, a random mask may broadcast the
        outputs to a larger rank, `fit` fails in a layer behind, or trains on values that inference never sees.

    How it is tested:
        A layer is called on the usual arrays in both modes, and the specs of its outputs are compared.

    Exempt when:
        Skipped if the layer cannot be called with `training=True` for a reason of its own; LW1002 trains reports that.

    References:
        keras.io/api/layers/base_layer, "training" argument of `call`.
    """
    layer = lively(trial)
    inference = output_specs(trial.call_raw(layer, trial.usual, training=False))
    try:
        training = output_specs(trial.call_raw(layer, trial.usual, training=True))
    except LayerError as error:
        if takes_argument(layer, "training"):
            raise
        return skipped(f"the layer cannot be called in training: {error}")
    if len(training) != len(inference):
        return failed(
            f"call returned {len(training)} tensors with training=True, and {len(inference)} with training=False; "
            "expected as many",
            FIX,
        )
    for place, (there, here) in enumerate(zip(training, inference, strict=True)):
        if (there.shape, there.dtype) != (here.shape, here.dtype):
            return failed(
                f"{output_name(place, inference)} is {there} with training=True, and {here} with training=False; "
                "expected the same shape and dtype",
                FIX,
            )
    return _passes_in_half_precision(trial) or passed()


def _passes_in_half_precision(trial: Trial) -> Finding | None:
    """Compare dtypes under a mixed policy too: a fixed cast shows only there."""
    import keras

    if "dtype" in trial.case.init or not isinstance(trial.case.layer, type):
        return None
    try:
        layer = trial.construct(dtype=keras.DTypePolicy("mixed_float16"))
        inference = output_specs(trial.call_raw(layer, trial.usual, training=False))
        training = output_specs(trial.call_raw(layer, trial.usual, training=True))
    except LayerError:  # LW601 policy-is-honoured reports a layer that does not take the policy
        return None
    for place, (there, here) in enumerate(zip(training, inference, strict=False)):
        if there.dtype != here.dtype:
            return failed(
                f"with the policy mixed_float16, {output_name(place, inference)} is {there.dtype} with training=True, "
                f"and {here.dtype} with training=False; expected the same dtype",
                FIX,
            )
    return None


def bad() -> Case:
    import keras

    class DoublesInTraining(keras.layers.Layer):
        def call(self, inputs, training=False):
            return keras.ops.concatenate([inputs, -inputs], axis=-1) if training else inputs

    return Case(DoublesInTraining, inputs=(None, 6, 5))


def good() -> Case:
    import keras

    class NegatesInTraining(keras.layers.Layer):
        def call(self, inputs, training=False):
            return -inputs if training else inputs

    return Case(NegatesInTraining, inputs=(None, 6, 5))
