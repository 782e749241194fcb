"""Variants of a case that its layer's constructor suggests: other modes, flags and axes, as the layer takes them."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from layerwright.cases.alternatives import Argument, arguments_of
from layerwright.cases.pairwise import pairwise, with_arguments
from layerwright.core.case import Case, InputSpec
from layerwright.core.errors import LayerError
from layerwright.trial.trial import Trial

NUMERICS_ONLY = re.compile(r"(.*_)?(activation|initializer|regularizer|constraint|implementation)")
"""Arguments whose values change numbers and nothing that a check looks at."""

OTHER_CLAIMS = re.compile(r"stateful|unroll|seed|(.*_)?dropout")
"""Arguments that make another kind of layer, one that would claim other things about itself."""

FORMATS = ("channels_last", "channels_first")


def suggested(case: Case) -> list[dict[str, Any]]:
    """Return other constructor arguments for a case, every two values together at least once, at most twelve sets.

    Flags, text that the docstring or the annotation lists or that is conventional, and axes are varied. What the layer
    refuses, in being constructed or called, is left out.

    Args:
        case: The case; its inputs must be known.
    """
    if not isinstance(case.layer, type):
        return []
    try:
        config = Trial(case).construct().get_config()
    except Exception:  # LW101 and LW701 say so
        return []
    options = {}
    for argument in arguments_of(case.layer, case.init, config):
        taken = [value for value in _values(case, argument) if not refusal(variant(case, {argument.name: value}))]
        if taken:
            options[argument.name] = (argument.value, *taken)
    return pairwise(options)


def variant(case: Case, changed: Mapping[str, Any]) -> Case:
    """Return the case with other arguments, its inputs laid out as `data_format` says.

    What the case claims of time it claims of the arguments that it declares, and so does its reference.
    """
    traits = replace(case.traits, causal=False, receptive_field=None)
    changed_case = replace(with_arguments(case, changed), traits=traits, reference=None)
    before, after = _format(case), _format(changed_case)
    return changed_case if before == after else _laid_out(changed_case, after)


def _format(case: Case) -> str:
    return str(case.init.get("data_format") or FORMATS[0])


def _laid_out(case: Case, data_format: str) -> Case:
    """Return the case with the channels of its inputs moved to the other end."""
    import keras

    source, target = (-1, 1) if data_format == FORMATS[1] else (1, -1)

    def moved(spec: InputSpec) -> InputSpec:
        shape = list(spec.shape)
        if len(shape) > 2:
            shape.insert(target if target > 0 else len(shape) - 1, shape.pop(source))
        return replace(spec, shape=tuple(shape))

    time_axis = 2 if data_format == FORMATS[1] else 1
    inputs = keras.tree.map_structure(moved, case.inputs)
    return replace(case, inputs=inputs, traits=replace(case.traits, time_axis=time_axis))


def refusal(case: Case) -> str:
    """Say with which error the layer refuses the case; empty if it does not."""
    trial = Trial(case)
    try:
        for training in (False, True):
            trial.call(trial.construct(), trial.usual, training=training)
    except LayerError as error:
        return str(error)
    return ""


def _values(case: Case, argument: Argument) -> Iterator[Any]:
    if NUMERICS_ONLY.fullmatch(argument.name) or OTHER_CLAIMS.fullmatch(argument.name):
        return
    ranks = [len(spec.shape) for spec in case.specs()]
    # An axis counted from the right, other than the last, is the batch axis of some smaller input.
    is_axis = re.fullmatch(r"(.*_)?(axis|axes)", argument.name) is not None
    for value in argument.others:
        if isinstance(value, str):
            fits = value in argument.listed or not argument.listed
        elif isinstance(value, bool):
            fits = True
        else:
            fits = is_axis and isinstance(value, int) and value >= -1 and all(value % rank for rank in ranks)
        if fits:
            yield value
