"""LW104."""

from typing import Any

from layerwright.checks.lifecycle._state import describe_variable, untracked_variables
from layerwright.core.case import Case
from layerwright.core.check import check
from layerwright.core.finding import Finding, failed, passed
from layerwright.trial.trial import Trial


@check("LW104", "variables-are-tracked", requires=("LW102",))
def variables_are_tracked(trial: Trial) -> Finding:
    """Every variable that the layer holds is in `layer.variables`.

    What it proves:
        No Keras variable, `tf.Variable` or `torch.nn.Parameter` within reach of the layer is missing from
        `layer.variables`.

    Why it matters:
        Keras trains, freezes, saves and hands to compiled steps what it tracks and nothing else. A variable inside a
        helper object stays at its initial value through training and is lost in saving, without a word.

    How it is tested:
        The layer is called once. Then its attributes are walked, through lists, tuples, sets, dicts, plain objects
        and sublayers, and each variable found is looked for in `layer.variables` by identity. Metrics, optimizers and
        initializers keep their variables themselves and are left out.

    Exempt when:
        Never.

    References:
        keras.io/api/layers/base_layer, "weights" and "variables".
    """
    layer = trial.built()
    untracked = [f"{path} ({describe_variable(variable)})" for path, variable in untracked_variables(trial, layer)]
    if untracked:
        return failed(
            f"layer.variables holds {len(layer.variables)} variables but lacks {', '.join(untracked[:4])}"
            f"{f' and {len(untracked) - 4} more' if untracked[4:] else ''}",
            "Create variables with self.add_weight() and assign sublayers to attributes of the layer itself, or to "
            "lists and dicts there; make a helper that owns variables a keras.layers.Layer.",
            untracked=untracked,
        )
    return passed(variables=len(layer.variables))


def bad() -> Case:
    return _tempered(hidden=True)


def good() -> Case:
    return _tempered(hidden=False)


def _tempered(*, hidden: bool) -> Case:
    import keras

    class Schedule:
        temperature: Any = None

    class Tempered(keras.layers.Layer):
        def build(self, input_shape):  # noqa: ARG002
            if hidden:
                self.schedule = Schedule()
                self.schedule.temperature = keras.Variable(1.0, trainable=False, name="temperature")
            else:
                self.temperature = self.add_weight(initializer="ones", trainable=False, name="temperature")

        def call(self, inputs):
            return keras.ops.softmax(inputs / (self.schedule.temperature if hidden else self.temperature))

    return Case(Tempered, inputs=(None, 5))
