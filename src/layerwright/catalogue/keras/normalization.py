"""Normalisation."""

from typing import Any

from layerwright.catalogue.keras._row import Row, row
from layerwright.core.case import InputSpec

COUPLED = {"batch": "coupled-in-training"}
STEPWISE = {"causal": True, "receptive_field": 1}


def rows() -> list[Row]:
    """Return the rows of this family."""
    return [
        row("BatchNormalization", (None, 5), traits=COUPLED),
        row("BatchNormalization", (None, None, 5), momentum=0.8, center=False, scale=False, traits=COUPLED | STEPWISE),
        row("BatchNormalization", (None, 3, 6, 7), axis=1, traits=COUPLED),
        row(
            "BatchNormalization",
            (None, None, 5),
            call={"mask": InputSpec((None, None), "bool")},
            traits=COUPLED | STEPWISE,
        ),
        row("BatchNormalization", (None, 5), renorm=True, traits=COUPLED),
        row("GroupNormalization", (None, None, 6), groups=3),
        row("GroupNormalization", (None, None, None, 4), groups=-1, center=False),
        row("GroupNormalization", (None, 4, 6), groups=2, axis=1, scale=False, traits={"time_axis": 2}),
        row("LayerNormalization", (None, None, 5), traits=STEPWISE),
        row("LayerNormalization", (None, 4, 5), axis=(1, 2), epsilon=1e-5),
        row("LayerNormalization", (None, 5), center=False, scale=False),
        row("RMSNormalization", (None, None, 5), traits=STEPWISE),
        row("RMSNormalization", (None, 4, 5), axis=(1, 2)),
        row("UnitNormalization", (None, None, 5), traits=STEPWISE),
        row("UnitNormalization", (None, 4, 5), axis=(1, 2)),
        row("SpectralNormalization", (None, 5), layer=_layers().Dense(3)),
        row("SpectralNormalization", (None, 6, 7, 4), layer=_layers().Conv2D(3, 2), power_iterations=2),
    ]


def _layers() -> Any:
    import keras

    return keras.layers
