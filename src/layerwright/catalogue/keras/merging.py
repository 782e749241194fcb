"""Layers that merge several inputs."""

from typing import Any

from layerwright.catalogue.keras._row import Row, row

TWO = [(None, 5), (None, 5)]
THREE = [(None, None, 5), (None, None, 5), (None, None, 5)]
STEPWISE = {"causal": True, "receptive_field": 1}
KINKED: dict[str, Any] = {"smooth": False}


def rows() -> list[Row]:
    """Return the rows of this family."""
    return [
        row("Add", TWO),
        row("Add", THREE, traits=STEPWISE),
        row("Average", THREE, traits=STEPWISE),
        row("Concatenate", TWO),
        row("Concatenate", [(None, 6, 5), (None, 8, 5)], axis=1),
        row("Dot", TWO, axes=1),
        row("Dot", [(None, 6, 5), (None, 8, 5)], axes=(2, 2)),
        row("Dot", TWO, axes=-1, normalize=True),
        row("Maximum", TWO, traits=KINKED),
        row("Minimum", THREE, traits=KINKED | STEPWISE),
        row("Multiply", THREE, traits=STEPWISE),
        row("Subtract", TWO),
    ]
