"""LW406."""

from layerwright.checks.masking._calls import compiled_layer, outputs_and_masks
from layerwright.core.case import Case
from layerwright.core.check import check
from layerwright.core.errors import LayerError
from layerwright.core.finding import Finding, failed, passed
from layerwright.trial.compare import largest_difference
from layerwright.trial.masks import WAY_IN_WORDS, Subject, subject
from layerwright.trial.subject import tolerance
from layerwright.trial.trial import Trial


@check("LW406", "mask-survives-compilation", requires=("LW402",), exempt={"stateful": True})
def mask_survives_compilation(trial: Trial) -> Finding:
    """With a mask, the compiled layer gives the same outputs as the eager layer.

    What it proves:
        With a mask, as an argument or attached to the inputs, the outputs of eager execution equal those of the layer
        compiled by `tf.function`, `jax.jit` or `torch.export`.

    Why it matters:
        `fit` compiles the layer on TensorFlow and JAX. While a layer is compiled, a mask is a symbol without values. A
        branch on whether any step is masked, or a length read from the mask as a number, fails at the first training
        step, or is fixed to the values of the first batch.

    How it is tested:
        The layer is called in inference mode on the usual inputs with the usual mask, as an argument and attached to
        the inputs. The same compiled program is then called with an all-True mask. Each result may differ from that of
        the eager call by 1e-5 of the outputs' scale, which is their largest absolute value, at least 1 (by 2e-2 in
        float16, by 2e-1 in bfloat16).

    Exempt when:
        The layer declares `stateful=True`, because then no two calls can be compared. Skipped if the layer takes no
        mask and does not declare `supports_masking`.

    References:
        github.com/keras-team/keras/issues/20165; docs.jax.dev, "Control flow and logical operators with JIT".
    """
    found = subject(trial)
    if not isinstance(found, Subject):
        return found
    attempts = [(way, False) for way in found.ways] + [(found.ways[0], True)]
    for way, all_true in attempts:
        masks = [mask | all_true for mask in found.masks]
        _, arguments = found.masked(masks, way=way)
        eager_outputs, _ = outputs_and_masks(trial, found, way, all_true=all_true)
        where = f"with {'an all-True mask' if all_true else 'a mask'} {WAY_IN_WORDS[way]}"
        try:
            difference = largest_difference(eager_outputs, compiled_layer(trial, found, way)(arguments))
        except LayerError as error:
            return failed(
                f"{where}, {error}",
                "Use `ops.where` or `ops.cond` instead of `if`, and keep counts as tensors. A mask has no values while "
                "the layer is traced.",
            )
        if difference > tolerance(trial):
            return failed(
                f"{where}, compiled outputs differ from eager outputs by {difference:.3g}, relative to the largest "
                f"value; expected at most {tolerance(trial):g}",
                "Compute with the mask tensor that `call` receives. Do not store it, or anything computed from it, on "
                "`self` or in NumPy arrays.",
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
