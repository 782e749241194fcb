"""LW406."""

from layerwright.checks.masking._calls import eager, program
from layerwright.core.case import Case
from layerwright.core.check import check
from layerwright.core.errors import LayerError
from layerwright.core.finding import Finding, failed, passed
from layerwright.trial.compare import largest_difference
from layerwright.trial.masks import Subject, subject
from layerwright.trial.subject import tolerance
from layerwright.trial.trial import Trial


@check("LW406", "mask-survives-compilation", requires=("LW402",), exempt={"stateful": True})
def mask_survives_compilation(trial: Trial) -> Finding:
    """Compiled, the layer does with a mask what it does eagerly.

    What it proves:
        Outputs with a mask as an argument and with a mask attached to the inputs are the same eagerly and compiled, by
        `tf.function`, `jax.jit` or `torch.export`.

    Why it matters:
        `fit` compiles. There a mask is a symbol without values: a branch on whether anything is masked, or a length
        read from it as a number, fails at the first training step, or is frozen to what the first batch had.

    How it is tested:
        The usual inputs are called in inference with the usual mask, as an argument and attached, then, by the same
        program, with all steps counting; each must agree with the eager call to 1e-5 of the outputs' scale (2e-2 in
        float16, 2e-1 in bfloat16).

    Exempt when:
        The layer declares `stateful=True`, as no two calls can be compared; skipped where it takes no mask and does
        not declare `supports_masking`.

    References:
        github.com/keras-team/keras/issues/20165; docs.jax.dev, "Control flow and logical operators with JIT".
    """
    found = subject(trial)
    if not isinstance(found, Subject):
        return found
    looks = [(way, False) for way in found.ways] + [(found.ways[0], True)]
    for way, all_true in looks:
        masks = [mask | all_true for mask in found.masks]
        _, arguments = found.masked(masks, way=way)
        eagerly, _ = eager(trial, found, way, all_true=all_true)
        where = f"with {'a mask that is true throughout' if all_true else 'the usual mask'}, {way}"
        try:
            difference = largest_difference(eagerly, program(trial, found, way)(arguments))
        except LayerError as error:
            return failed(
                f"{where}, {error}",
                "Choose with ops.where and ops.cond rather than `if`, and keep counts as tensors: a mask has no values "
                "while the layer is traced.",
            )
        if difference > tolerance(trial):
            return failed(
                f"{where}, compiled outputs differ from eager ones by {difference:.3g} of their scale; expected 0",
                "Use the mask that call() is given, as a tensor; keep nothing of it on self and nothing of it in "
                "NumPy.",
            )
    return passed(ways=found.ways)


def bad() -> Case:
    import keras

    class SkipsWhereNothingIsMasked(keras.layers.Layer):
        def call(self, inputs, mask=None):
            if mask is not None and not keras.ops.all(mask):
                inputs = keras.ops.where(keras.ops.expand_dims(mask, -1), inputs, 0.0)
            return keras.ops.sum(inputs, axis=1)

        def compute_output_shape(self, input_shape):
            return (input_shape[0], input_shape[2])

    return Case(SkipsWhereNothingIsMasked, inputs=(None, None, 5))


def good() -> Case:
    import keras

    class AlwaysChooses(keras.layers.Layer):
        def call(self, inputs, mask=None):
            if mask is not None:
                inputs = keras.ops.where(keras.ops.expand_dims(mask, -1), inputs, 0.0)
            return keras.ops.sum(inputs, axis=1)

        def compute_output_shape(self, input_shape):
            return (input_shape[0], input_shape[2])

    return Case(AlwaysChooses, inputs=(None, None, 5))
