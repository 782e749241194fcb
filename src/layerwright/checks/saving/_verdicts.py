"""Whether a config keeps the constructor's arguments: verdicts on variants of the case's layer."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np

from layerwright.cases.alternatives import SIDE_EFFECTS, Argument
from layerwright.checks.saving._config import Config, brief, canonical, changes, config_of, copied, file_config, revive
from layerwright.checks.saving._variants import difference, observe, variables, variant
from layerwright.core.errors import LayerError
from layerwright.trial.compare import largest_difference
from layerwright.trial.models import TOLERANCE, build, repeats
from layerwright.trial.trial import Trial, copy_weights

MOST_ALONE = 3
"""How many values are tried one by one where the layer accepts no more of them together."""


@dataclass(frozen=True)
class Verdict:
    """What varying one argument showed: config or weights keep it, it is lost, or it could not be varied."""

    outcome: Literal["kept", "kept by a weight", "lost", "unvaried"]
    words: str
    value: Any = None


class Basis:
    """The case's own layer, that variants are compared with."""

    def __init__(self, trial: Trial) -> None:
        self.trial = trial
        self.layer = trial.construct()
        self.given = copied(config_of(self.layer))
        self.config: Config = copied(config_of(self.variant({})))
        again = config_of(self.variant({}))
        self.unstable = tuple(key for key in self.config if not _alike(self.config[key], again.get(key)))

    def variant(self, changed: Mapping[str, Any]) -> Any:
        """Return a new layer with other values for the arguments in `changed`."""
        return variant(self.trial, self.layer, self.given, changed)

    @cached_property
    def seen(self) -> dict[str, Any]:
        """What can be seen of the layer."""
        return observe(self.trial, self.variant({}))

    @cached_property
    def wanders(self) -> str:
        """What differs between two constructions from the same seed; empty if nothing does."""
        return difference(self.seen, observe(self.trial, self.variant({})))


def judge(basis: Basis, argument: Argument, listed: Sequence[Any] = ()) -> Verdict:
    """Give an argument other values until one shows whether the config keeps it.

    Args:
        basis: The case's own layer.
        argument: The argument.
        listed: Values that the case lists for it, for where convention knows none.
    """
    others = argument.others or listed
    if not others:
        left_alone = "its name suggests files or output" if SIDE_EFFECTS.fullmatch(argument.name) else ""
        return Verdict("unvaried", left_alone or "no other value known")
    accepted = False
    for value in others:
        try:
            varied = basis.variant({argument.name: value})
            config = copied(config_of(varied))
            noted = changes(basis.config, config, ignore=("name", *basis.unstable), same=_alike)
            seen = {} if noted else observe(basis.trial, varied)
        except LayerError:
            continue
        accepted = True
        words = f"{argument.name}={brief(value)}"
        if noted:
            forgotten = _forgotten(basis.trial, varied, config)
            return Verdict("lost", f"with {words}, {forgotten}") if forgotten else Verdict("kept", words, value)
        if basis.wanders:
            return Verdict("unvaried", f"two constructions from one seed already differ in {basis.wanders}")
        moved = difference(basis.seen, seen)
        if moved and isinstance(value, np.ndarray) and _kept_by_weights(basis, value, argument.name):
            return Verdict("kept by a weight", f"{argument.name}, which a weight keeps")
        if moved:
            return Verdict("lost", f"{words} instead of {brief(argument.value)} changes {moved}, but not the config")
    return Verdict("unvaried", "no effect seen" if accepted else "no other value was accepted")


def _kept_by_weights(basis: Basis, value: Any, name: str) -> bool:
    """Whether the layer without an array computes as the one with it, once it has that one's weights."""
    varied, plain = (build(basis.trial, basis.variant(changed)) for changed in ({name: value}, {}))
    copy_weights(varied, plain)
    return not difference(observe(basis.trial, varied), observe(basis.trial, plain))


def rebuilt_otherwise(basis: Basis, values: Mapping[str, Any]) -> Iterator[str]:
    """Give the layer several other values at once, and say how the layer rebuilt from its config then differs.

    Values that the constructor does not take together with the others are put aside, for a second round.
    """
    together: dict[str, Any] = {}
    aside: dict[str, Any] = {}
    for name, value in values.items():
        try:
            basis.variant({**together, name: value})
            together[name] = value
        except LayerError:
            aside[name] = value
    yield from _compared(basis, together)
    if aside and together:
        yield from rebuilt_otherwise(basis, aside)


def _compared(basis: Basis, values: Mapping[str, Any]) -> Iterator[str]:
    """Compare a variant and its rebuilt self; where it cannot be called, give it fewer of the values."""
    trial = basis.trial
    alone = [{name: value} for name, value in values.items()] if len(values) > 1 else []
    try:
        varied = build(trial, basis.variant(values))
        outputs = {training: trial.call(varied, trial.usual, training=training) for training in (False, True)}
    except LayerError:
        others = {name: value for name, value in values.items() if not _is_size(name, value)}
        for fewer in [others] if 0 < len(others) < len(values) else alone[:MOST_ALONE]:
            yield from _compared(basis, fewer)
        return
    wrong = _computes_otherwise(trial, varied, outputs)
    if wrong:
        named = [words for value in alone for words in _compared(basis, value)]
        yield from named or [f"with {', '.join(f'{name}={brief(value)}' for name, value in values.items())}, {wrong}"]


def _is_size(name: str, value: Any) -> bool:
    """Whether a value may decide which inputs a layer accepts."""
    return (isinstance(value, (int, list, tuple)) and not isinstance(value, bool)) or name == "data_format"


def _forgotten(trial: Trial, varied: Any, config: Config) -> str:
    """Say what from_config() does not take up of a variant's config; empty if it takes up all."""
    try:
        lost = changes(config, config_of(revive(trial, varied, file_config(varied))))
    except LayerError as error:
        return str(error)
    return f"from_config(get_config()) makes another config: {lost}" if lost else ""


def _computes_otherwise(trial: Trial, varied: Any, outputs: Mapping[bool, Any]) -> str:
    """Say how the layer rebuilt from a variant's config differs from the variant; empty if it does not."""
    try:
        twin = build(trial, revive(trial, varied, file_config(varied)))
        if variables(varied) != variables(twin):
            return f"the rebuilt layer has variables {variables(twin)}, expected {variables(varied)}"
        copy_weights(varied, twin)
        for training, expected in outputs.items():
            moved = largest_difference(expected, trial.call(twin, trial.usual, training=training))
            if moved > TOLERANCE and repeats(trial, varied, trial.usual, expected, training=training):
                return f"the rebuilt layer's outputs differ by {moved:.3g} (training={training})"
    except LayerError as error:
        return str(error)
    return ""


def _alike(first: Any, second: Any) -> bool:
    """Whether two values of a config are written alike but for names, which Keras counts up."""
    return canonical(_nameless(first)) == canonical(_nameless(second))


def _nameless(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _nameless(item) for key, item in value.items() if key != "name"}
    if isinstance(value, (list, tuple)):
        return [_nameless(item) for item in value]
    return value
