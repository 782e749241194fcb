"""LW105."""

from collections import Counter

from layerwright.core.case import Case
from layerwright.core.check import check
from layerwright.core.finding import Finding, failed, passed
from layerwright.trial.trial import Trial


@check("LW105", "weight-paths-are-unique", requires=("LW102",))
def weight_paths_are_unique(trial: Trial) -> Finding:
    """No two variables of the layer have the same path.

    What it proves:
        The paths of `layer.variables` are all different.

    Why it matters:
        Two variables under one path are one entry in everything that goes by path: PyTorch's `parameters()` yields
        only the last of them, so that an optimizer of its own never trains the other; `Model.get_state_tree()`
        refuses the model; sharding rules and checkpoints by path cannot tell them apart.

    How it is tested:
        The layer is called once and the paths of its variables are counted.

    Exempt when:
        Never.

    References:
        keras.io/api/layers/base_layer, `add_weight`; the Keras API, `Model.get_state_tree`.
    """
    layer = trial.built()
    counts = Counter(variable.path for variable in layer.variables)
    repeated = [f"{path!r} ({count} times)" for path, count in counts.items() if count > 1]
    if repeated:
        return failed(
            f"{sum(counts.values())} variables share {len(counts)} paths; repeated: {', '.join(repeated[:4])}",
            "Give each add_weight(name=…) a name of its own within the layer, and each sublayer too.",
            repeated=repeated,
        )
    return passed(paths=len(counts))


def bad() -> Case:
    return _affine("weight", "weight")


def good() -> Case:
    return _affine("scale", "offset")


def _affine(first: str, second: str) -> Case:
    import keras

    class Affine(keras.layers.Layer):
        def build(self, input_shape):
            self.scale = self.add_weight(shape=(input_shape[-1],), initializer="ones", name=first)
            self.offset = self.add_weight(shape=(input_shape[-1],), initializer="zeros", name=second)

        def call(self, inputs):
            return inputs * self.scale + self.offset

    return Case(Affine, inputs=(None, 5))
