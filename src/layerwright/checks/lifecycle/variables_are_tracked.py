"""LW104 variables-are-tracked."""

from typing import Any

from layerwright.checks.lifecycle._state import describe_variable, untracked_variables
from layerwright.core.case import Case
from layerwright.core.check import check
from layerwright.core.finding import Finding, failed, passed
from layerwright.trial.trial import Trial


@check("LW104", "variables-are-tracked", requires=("LW102",))
def variables_are_tracked(trial: Trial) -> Finding:
    """Every variable of the layer is in `layer.variables`.

    What it proves:
        Every Keras variable, `tf.Variable` and `torch.nn.Parameter` that can be reached from the layer's attributes is
        in `layer.variables`.

    Why it matters:
        Keras trains, freezes, saves and compiles only the variables that it tracks. A variable inside a helper object
        keeps its initial value during training and is lost on saving, without a warning.

    How it is tested:
        The layer is called once. Then its attributes are searched, through lists, tuples, sets, dicts, plain objects
        and sublayers, and each variable found is looked up in `layer.variables` by identity. Metrics, optimizers and
        initializers manage their own variables and are left out.

    Exempt when:
        Never.

    References:
        keras.io/api/layers/base_layer, "weights" and "variables".
    """
    layer = trial.built()
    untracked = [f"{path} ({describe_variable(variable)})" for path, variable in untracked_variables(trial, layer)]
    if untracked:
        return failed(
            f"layer.variables (length {len(layer.variables)}) lacks {', '.join(untracked[:4])}"
            f"{f' and {len(untracked) - 4} more' if untracked[4:] else ''}; expected every variable of the layer",
            "Create variables with `self.add_weight()`. Assign sublayers to attributes of the layer, directly or in "
            "lists and dicts. If a helper object owns variables, make it a `keras.layers.Layer`.",
            untracked=untracked,
        )
    return passed(variables=len(layer.variables))


def bad() -> Case:
    return _tempered_case(hidden=True)


def good() -> Case:
    return _tempered_case(hidden=False)


def _tempered_case(*, hidden: bool) -> Case:
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
