"""LW105 weight-paths-are-unique."""

from collections import Counter
from typing import Any

from layerwright.core.case import Case
from layerwright.core.check import check
from layerwright.core.finding import Finding, failed, passed
from layerwright.trial.paths import attribute_path
from layerwright.trial.trial import Trial


@check("LW105", "weight-paths-are-unique", requires=("LW102",))
def weight_paths_are_unique(trial: Trial) -> Finding:
    """No two variables of the layer have the same path.

    What it proves:
        The paths of `layer.variables` are all different.

    Why it matters:
        Everything that identifies variables by path takes two variables with one path for a single one. PyTorch's
        `parameters()` yields only the last of them, so a torch optimizer never trains the other.
        `Model.get_state_tree()` refuses the model. Sharding rules and checkpoints by path cannot tell them apart.

    How it is tested:
        The layer is called once and the paths of its variables are counted.

    Exempt when:
        Never.

    References:
        keras.io/api/layers/base_layer, `add_weight`; the Keras API, `Model.get_state_tree`.
    """
    layer = trial.built()
    counts = Counter(variable.path for variable in layer.variables)
    repeated = [f"{path!r} ({_attributes_with_path(layer, path)})" for path, count in counts.items() if count > 1]
    if repeated:
        return failed(
            f"{sum(counts.values())} variables have {len(counts)} different paths; expected a unique path for each, "
            f"but several have {', '.join(repeated[:4])}",
            "Give each `add_weight(name=…)` and each sublayer a name that is unique within the layer.",
            repeated=repeated,
        )
    return passed(paths=len(counts))


def _attributes_with_path(layer: Any, path: str) -> str:
    return ", ".join(attribute_path(layer, variable) for variable in layer.variables if variable.path == path)


def bad() -> Case:
    return _affine_case("weight", "weight")


def good() -> Case:
    return _affine_case("scale", "offset")


def _affine_case(first: str, second: str) -> Case:
    import keras

    class Affine(keras.layers.Layer):
        def build(self, input_shape):
            self.scale = self.add_weight(shape=(input_shape[-1],), initializer="ones", name=first)
            self.offset = self.add_weight(shape=(input_shape[-1],), initializer="zeros", name=second)

        def call(self, inputs):
            return inputs * self.scale + self.offset

    return Case(Affine, inputs=(None, 5))
