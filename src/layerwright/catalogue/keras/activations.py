"""Activations."""

from typing import Any

from layerwright.catalogue.keras._row import Row, row

STEPWISE = {"causal": True, "receptive_field": 1}
KINKED: dict[str, Any] = {"smooth": False}


def rows() -> list[Row]:
    """Return the rows of this family."""
    return [
        row("Activation", (None, None, 5), activation="gelu", traits=STEPWISE),
        row("Activation", (None, 5), activation="hard_sigmoid", traits=KINKED),
        row("ELU", (None, 5), alpha=0.7),
        row("LeakyReLU", (None, 5), negative_slope=0.2, traits=KINKED),
        row("PReLU", (None, 5), traits=KINKED),
        row("PReLU", (None, None, None, 3), alpha_initializer="ones", shared_axes=[1, 2], traits=KINKED),
        row("ReLU", (None, 5), traits=KINKED),
        row("ReLU", (None, None, 5), max_value=1.5, negative_slope=0.1, threshold=0.2, traits=KINKED | STEPWISE),
        row("Softmax", (None, 5)),
        row("Softmax", (None, 4, 5), axis=[1, 2]),
        row("Softmax", (None, 5), call={"mask": _mask(5)}),
    ]


def _mask(*sizes: int | None) -> "object":
    from layerwright.core.case import InputSpec

    return InputSpec((None, *sizes), "bool")
