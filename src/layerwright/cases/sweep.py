"""Variants of a case with other modes, flags and axes, as the layer's constructor documents them."""

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
"""Arguments whose values change only numbers, which no check depends on."""

OTHER_CLAIMS = re.compile(r"stateful|unroll|seed|(.*_)?dropout")
"""Arguments that change which traits the layer would declare."""

FORMATS = ("channels_last", "channels_first")


def suggested(case: Case) -> list[dict[str, Any]]:
    """Return at most twelve sets of other constructor arguments, in which every two values occur together once.

    Flags, axes, and texts that the docstring, the annotation or convention lists are varied. Values that the layer
    refuses, when it is constructed or called, are left out.

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

    Claims about time and the reference are dropped: the author made them for the declared arguments.
    """
    traits = replace(case.traits, causal=False, receptive_field=None)
    changed_case = replace(with_arguments(case, changed), traits=traits, reference=None, combined="arguments")
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
    """Return the error with which the layer refuses the case; empty if it does not.

    If its author declared each of the arguments' values, only the constructor may refuse them together.
    """
    trial = Trial(case)
    try:
        if case.combined == "values":
            trial.construct()
            return ""
        for training in (False, True):
            trial.call(trial.construct(), trial.usual, training=training)
    except LayerError as error:
        return str(error)
    except (SystemExit, MemoryError):  # no answer about the arguments; the check of the call reports it
        return ""
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
