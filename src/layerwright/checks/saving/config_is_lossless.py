"""LW702 config-is-lossless."""

from collections.abc import Iterator

from layerwright.cases.alternatives import arguments_of
from layerwright.checks.saving._verdicts import Basis, describe_rebuilding, judge_argument
from layerwright.core.case import Case
from layerwright.core.check import check
from layerwright.core.errors import LayerError
from layerwright.core.finding import Finding, failed, inconclusive, passed
from layerwright.trial.trial import Trial


@check("LW702", "config-is-lossless", requires=("LW703",))
def config_is_lossless(trial: Trial) -> Iterator[Finding]:
    """The config keeps every constructor argument that changes what the layer does.

    What it proves:
        If another value of a constructor argument changes the layer's variables, outputs, masks, losses or state, it
        changes the config too. `from_config()` then rebuilds a layer that gives the same outputs.

    Why it matters:
        An argument that `get_config()` forgets does no harm at its default value, and most tests use the default. A
        user who sets the argument, saves the model and loads it gets the default back, without an error.

    How it is tested:
        The check gives each argument up to three other values. It chooses them from the current value, the name, the
        annotation and the docstring: it flips a flag, adds one to a size, or takes "tanh" for an activation. If the
        config stays the same, both layers are called with the same seeds, and everything they compute must be equal
        bit by bit. If the config changes, `from_config()` must return a layer with that config. Finally the check sets
        all these values at once: with the same weights, the layer rebuilt from the config must give the same outputs.
        An array may be stored in a weight instead of the config. The result is inconclusive for an argument if no other
        value is known (and the case's `others` lists none), if the layer accepts none, or if none has an effect.

    Exempt when:
        The argument is `name`, `dtype` or `trainable`, which LW109 checks; it only chooses between implementations
        (`use_cudnn`, `flash_attention`, `implementation`); or only a base class names it and it cannot be varied.

    References:
        keras.io, Layer API, `get_config`; keras.io, "Save, serialize, and export models".
    """
    try:
        basis = Basis(trial)
    except LayerError as error:
        yield inconclusive(f"before the layer is built, {error}")
        return
    given = trial.case.init if isinstance(trial.case.layer, type) else {}
    verdicts = {
        argument: judge_argument(basis, argument, trial.case.others.get(argument.name, ()))
        for argument in arguments_of(type(basis.layer), given, basis.config)
    }
    kept = {argument.name: verdict for argument, verdict in verdicts.items() if verdict.outcome == "kept"}
    weights = [verdict.words for verdict in verdicts.values() if verdict.outcome == "kept by a weight"]
    lost = [verdict.words for verdict in verdicts.values() if verdict.outcome == "lost"]
    lost += describe_rebuilding(basis, {name: verdict.value for name, verdict in kept.items()}) if kept else ()
    unvaried = [
        f"{argument.name} ({verdict.words})"
        for argument, verdict in verdicts.items()
        if verdict.outcome == "unvaried" and not argument.inherited
    ]
    if lost:
        yield failed(
            "; ".join(lost),
            "Return the argument from `get_config()` in the form that the constructor takes, such as "
            "`{**super().get_config(), 'units': self.units}`.",
        )
    elif kept or weights:
        yield passed(f"the config keeps {', '.join([*(verdict.words for verdict in kept.values()), *weights])}")
    elif not unvaried:
        yield passed("the constructor has no arguments of its own")
    if unvaried:
        yield inconclusive(
            f"not tested with another value: {', '.join(unvaried)}",
            "List other valid values in the case, such as `Case(…, others={'units': [3]})`, or set them in its `init`.",
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
