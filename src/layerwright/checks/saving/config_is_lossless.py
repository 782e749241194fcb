"""LW702."""

from collections.abc import Iterator

from layerwright.cases.alternatives import arguments_of
from layerwright.checks.saving._verdicts import Basis, judge, rebuilt_otherwise
from layerwright.core.case import Case
from layerwright.core.check import check
from layerwright.core.errors import LayerError
from layerwright.core.finding import Finding, failed, inconclusive, passed
from layerwright.trial.trial import Trial


@check("LW702", "config-is-lossless", requires=("LW703",))
def config_is_lossless(trial: Trial) -> Iterator[Finding]:
    """Whatever constructor argument changes the layer changes its config too, and comes back out of it.

    What it proves:
        For each constructor argument that could be given another value: if variables, outputs, masks, losses or state
        change, so does the config; and from_config() makes of the changed config a layer that computes as the changed
        one does.

    Why it matters:
        An argument that get_config() forgets does no harm while it has its default value, which is how layers are
        mostly tested. Whoever sets it gets another layer back from the file.

    How it is tested:
        Each argument in turn is given up to three other values, chosen by its present value, its name, its annotation
        and the docstring: a flag flipped, a size one larger, "tanh" for an activation. Where the config of the layer
        constructed so is the old one, the two layers are called and compared, from the same seeds, bit by bit. Where
        it changed, from_config() must make the same config of it; at the end all such values are given at once, and
        the layer rebuilt from that config must compute the same with the same weights. An array may be kept by a
        weight instead of the config: it is, if the layer without it does the same once it has those weights.
        Arguments for which no other value is known, and the case's `others` list none, or none is accepted, or none
        shows an effect are listed as not probed.

    Exempt when:
        `name`, `dtype` and `trainable` are LW109's. Arguments that choose how to compute the same (`use_cudnn`,
        `flash_attention`, `implementation`) are left out, as their loss shows in nothing computed; so are arguments
        that only a base class names, where they cannot be varied.

    References:
        keras.io, Layer API, get_config; keras.io, "Save, serialize, and export models".
    """
    try:
        basis = Basis(trial)
    except LayerError as error:
        yield inconclusive(f"before the layer is built, {error}")
        return
    given = trial.case.init if isinstance(trial.case.layer, type) else {}
    verdicts = {
        argument: judge(basis, argument, trial.case.others.get(argument.name, ()))
        for argument in arguments_of(type(basis.layer), given, basis.config)
    }
    kept = {argument.name: verdict for argument, verdict in verdicts.items() if verdict.outcome == "kept"}
    weights = [verdict.words for verdict in verdicts.values() if verdict.outcome == "kept by a weight"]
    lost = [verdict.words for verdict in verdicts.values() if verdict.outcome == "lost"]
    lost += rebuilt_otherwise(basis, {name: verdict.value for name, verdict in kept.items()}) if kept else ()
    unvaried = [
        f"{argument.name} ({verdict.words})"
        for argument, verdict in verdicts.items()
        if verdict.outcome == "unvaried" and not argument.inherited
    ]
    if lost:
        yield failed("; ".join(lost), "Return the argument from get_config() as the constructor takes it.")
    elif kept or weights:
        yield passed(f"varied: {', '.join([*(verdict.words for verdict in kept.values()), *weights])}")
    elif not unvaried:
        yield passed("the constructor has no arguments of its own to lose")
    if unvaried:
        yield inconclusive(
            f"not varied: {', '.join(unvaried)}", "Declare a case that gives these arguments other values."
        )


def bad() -> Case:
    import keras

    class Scaling(keras.layers.Layer):
        def __init__(self, factor=2.0, **kwargs):
            super().__init__(**kwargs)
            self.factor = factor

        def call(self, inputs):
            return inputs * self.factor

        def get_config(self):
            return super().get_config()

    return Case(Scaling, inputs=(None, 5))


def good() -> Case:
    import keras

    class Scaling(keras.layers.Layer):
        def __init__(self, factor=2.0, **kwargs):
            super().__init__(**kwargs)
            self.factor = factor

        def call(self, inputs):
            return inputs * self.factor

        def get_config(self):
            return {**super().get_config(), "factor": self.factor}

    return Case(Scaling, inputs=(None, 5))
