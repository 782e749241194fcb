"""Decide, by varying one constructor argument at a time, whether the config keeps it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np

from layerwright.cases.alternatives import SIDE_EFFECTS, Argument
from layerwright.checks.saving._config import (
    Config,
    canonical_json,
    config_of,
    config_through_json,
    copy_containers,
    describe_changes,
    rebuild,
    shorten,
)
from layerwright.checks.saving._variants import describe_variables, first_difference, observe_behaviour, variant
from layerwright.core.errors import LayerError
from layerwright.trial.compare import largest_difference
from layerwright.trial.models import TOLERANCE, build, repeats
from layerwright.trial.trial import Trial, copy_weights

MOST_ALONE = 3
"""How many values are tried one by one if the layer does not accept them together."""


@dataclass(frozen=True)
class Verdict:
    """The result of varying one argument: the config or a weight keeps it, it is lost, or it could not be varied."""

    outcome: Literal["kept", "kept by a weight", "lost", "unvaried"]
    words: str
    value: Any = None


class Basis:
    """The case's own layer, with which variants are compared."""

    def __init__(self, trial: Trial) -> None:
        self.trial = trial
        self.layer = trial.construct()
        self.original_config = copy_containers(config_of(self.layer))
        self.config: Config = copy_containers(config_of(self.variant({})))
        again = config_of(self.variant({}))
        self.unstable = tuple(key for key in self.config if not _equal_but_for_names(self.config[key], again.get(key)))

    def variant(self, changed: Mapping[str, Any]) -> Any:
        """Return a new layer with other values for the arguments in `changed`."""
        return variant(self.trial, self.layer, self.original_config, changed)

    @cached_property
    def behaviour(self) -> dict[str, Any]:
        """The layer's variables, outputs, output masks, losses and state."""
        return observe_behaviour(self.trial, self.variant({}))

    @cached_property
    def differs_between_constructions(self) -> str:
        """What differs between two layers constructed with the same arguments and seed; empty if nothing differs."""
        return first_difference(self.behaviour, observe_behaviour(self.trial, self.variant({})))


def judge_argument(basis: Basis, argument: Argument, listed: Sequence[Any] = ()) -> Verdict:
    """Give an argument other values until one shows whether the config keeps it.

    Args:
        basis: The case's own layer.
        argument: The argument.
        listed: Values that the case lists for it, tried if no other value can be guessed.
    """
    others = argument.others or listed
    if not others:
        has_side_effects = SIDE_EFFECTS.fullmatch(argument.name)
        return Verdict("unvaried", "its name suggests a file or output" if has_side_effects else "no other value known")
    accepted = False
    for value in others:
        try:
            varied = basis.variant({argument.name: value})
            config = copy_containers(config_of(varied))
            ignored = ("name", *basis.unstable)
            in_config = describe_changes(basis.config, config, ignore=ignored, same=_equal_but_for_names)
            behaviour = {} if in_config else observe_behaviour(basis.trial, varied)
        except LayerError:
            continue
        accepted = True
        words = f"{argument.name}={shorten(value)}"
        if in_config:
            lost = _lost_by_from_config(basis.trial, varied, config)
            return Verdict("lost", f"with {words}, {lost}") if lost else Verdict("kept", words, value)
        if basis.differs_between_constructions:
            return Verdict(
                "unvaried",
                "two layers constructed with the same arguments and seed already differ in "
                f"{basis.differs_between_constructions}",
            )
        changed = first_difference(basis.behaviour, behaviour)
        if changed and isinstance(value, np.ndarray) and _kept_by_weights(basis, value, argument.name):
            return Verdict("kept by a weight", f"{argument.name} (saved in a weight)")
        if changed:
            return Verdict("lost", f"{words} instead of {shorten(argument.value)} changes {changed} but not the config")
    return Verdict("unvaried", "other values had no effect" if accepted else "the layer accepted no other value")


def _kept_by_weights(basis: Basis, value: Any, name: str) -> bool:
    """Whether the layer without the array computes the same as the layer with it, once both have the same weights."""
    varied, plain = (build(basis.trial, basis.variant(changed)) for changed in ({name: value}, {}))
    copy_weights(varied, plain)
    return not first_difference(observe_behaviour(basis.trial, varied), observe_behaviour(basis.trial, plain))


def describe_rebuilding(basis: Basis, values: Mapping[str, Any]) -> Iterator[str]:
    """Give the layer several other values at once, and say how the layer rebuilt from its config differs.

    Values that the constructor does not accept together with the others are tried in a second round.
    """
    together: dict[str, Any] = {}
    aside: dict[str, Any] = {}
    for name, value in values.items():
        try:
            basis.variant({**together, name: value})
            together[name] = value
        except LayerError:
            aside[name] = value
    yield from _compare_rebuilt(basis, together)
    if aside and together:
        yield from describe_rebuilding(basis, aside)


def _compare_rebuilt(basis: Basis, values: Mapping[str, Any]) -> Iterator[str]:
    """Compare a variant with the layer rebuilt from its config; if it cannot be called, give it fewer values."""
    trial = basis.trial
    alone = [{name: value} for name, value in values.items()] if len(values) > 1 else []
    try:
        varied = build(trial, basis.variant(values))
        outputs = {training: trial.call(varied, trial.usual, training=training) for training in (False, True)}
    except LayerError:
        others = {name: value for name, value in values.items() if not _is_size(name, value)}
        for fewer in [others] if 0 < len(others) < len(values) else alone[:MOST_ALONE]:
            yield from _compare_rebuilt(basis, fewer)
        return
    difference = _describe_difference_of_rebuilt(trial, varied, outputs)
    if difference:
        named = [words for value in alone for words in _compare_rebuilt(basis, value)]
        given = ", ".join(f"{name}={shorten(value)}" for name, value in values.items())
        yield from named or [f"with {given}, {difference}"]


def _is_size(name: str, value: Any) -> bool:
    """Whether a value may change which inputs a layer accepts."""
    return (isinstance(value, (int, list, tuple)) and not isinstance(value, bool)) or name == "data_format"


def _lost_by_from_config(trial: Trial, varied: Any, config: Config) -> str:
    """Say which entries of a variant's config from_config() changes or drops; empty if none."""
    try:
        changed = describe_changes(config, config_of(rebuild(trial, varied, config_through_json(varied))))
    except LayerError as error:
        return str(error)
    return f"from_config(get_config()) returns a layer with a different config: {changed}" if changed else ""


def _describe_difference_of_rebuilt(trial: Trial, varied: Any, outputs: Mapping[bool, Any]) -> str:
    """Say how the layer rebuilt from a variant's config differs from the variant; empty if it does not."""
    try:
        twin = build(trial, rebuild(trial, varied, config_through_json(varied)))
        if describe_variables(varied) != describe_variables(twin):
            return f"the rebuilt layer has variables {describe_variables(twin)}; expected {describe_variables(varied)}"
        copy_weights(varied, twin)
        for training, expected in outputs.items():
            difference = largest_difference(expected, trial.call(twin, trial.usual, training=training))
            if difference > TOLERANCE and repeats(trial, varied, trial.usual, expected, training=training):
                return f"the outputs of the rebuilt layer differ by {difference:.3g} with training={training}"
    except LayerError as error:
        return str(error)
    return ""


def _equal_but_for_names(first: Any, second: Any) -> bool:
    """Whether two values of a config have the same JSON, apart from the names that Keras numbers."""
    return canonical_json(_without_names(first)) == canonical_json(_without_names(second))


def _without_names(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _without_names(item) for key, item in value.items() if key != "name"}
    if isinstance(value, (list, tuple)):
        return [_without_names(item) for item in value]
    return value
