"""How a model uses the layers in it: the model is traced twice, with two sizes of each free axis."""

import warnings
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from layerwright.cases.observation import Use, free_where_different, observing
from layerwright.cases.rebuilding import is_custom
from layerwright.core.case import InputSpec
from layerwright.trial.arguments import map_leaves

BATCHES = (2, 3)
LEAST_SIZES = (1, 24, 64, 224)
"""The least sizes of free axes that are tried, in this order: a model may shrink its inputs many times."""


def uses_in_model(model: Any, inputs: Any, call: Mapping[str, Any]) -> dict[int, list[Use]]:
    """Return how a model calls each custom layer in it, by the layer's `id`.

    An axis is free where its size follows one of the model's free axes. Nothing is computed. The result is empty if
    the model cannot be traced.

    Args:
        model: The model; it is built by this if it is not yet.
        inputs: Specs of its inputs.
        call: Its further call arguments.
    """
    for least in LEAST_SIZES:
        first = _traced(model, inputs, call, BATCHES[0], least)
        if first is not None:
            break
    else:
        return {}
    second = _traced(model, inputs, call, BATCHES[1], 2 * max(least, 16))
    merged = first if second is None else [merge for pair in _pairs(first, second) for merge in _merged(*pair)]
    found: dict[int, list[Use]] = {}
    for use in merged:
        of_layer = found.setdefault(id(use.instance), [])
        if use not in of_layer:
            of_layer.append(use)
    return found


def _traced(model: Any, inputs: Any, call: Mapping[str, Any], batch: int, least: int) -> list[Use] | None:
    import keras

    def symbol(value: Any) -> Any:
        if not isinstance(value, InputSpec):
            return value
        return keras.KerasTensor(value.concrete(batch, minimum=least), dtype=value.dtype)

    class Calling(keras.Operation):
        def call(self, inputs: Any, **further: Any) -> Any:
            return model(inputs, **further)

    given = map_leaves(symbol, inputs)
    further = {name: map_leaves(symbol, value) for name, value in call.items()}
    # The model's own code may raise anything here. The checks of the model report it.
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if not model.built:
                model(given, **further)
            with observing(is_custom) as observer:
                Calling().compute_output_spec(given, **further)
    except Exception:
        return None
    return [use for use in observer.called if use.instance is not model]


def _pairs(first: list[Use], second: list[Use]) -> Iterator[tuple[list[Use], list[Use]]]:
    """Yield the calls of each layer in both traces."""
    by_layer: dict[int, tuple[list[Use], list[Use]]] = {}
    for place, uses in enumerate((first, second)):
        for use in uses:
            by_layer.setdefault(id(use.instance), ([], []))[place].append(use)
    yield from by_layer.values()


def _merged(first: list[Use], second: list[Use]) -> Iterator[Use]:
    for one, other in zip(first, second, strict=False):
        yield replace(
            one, inputs=free_where_different(one.inputs, other.inputs), call=free_where_different(one.call, other.call)
        )
    yield from first[len(second) :]
