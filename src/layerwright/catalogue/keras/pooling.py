"""Pooling."""

from typing import Any

from layerwright.catalogue.keras._row import Row, row
from layerwright.core.case import InputSpec

SIGNAL = (None, None, 3)
IMAGE = (None, None, None, 3)
VOLUME = (None, None, None, None, 3)
MASK = InputSpec((None, None), "bool")
KINKED: dict[str, Any] = {"smooth": False}
POOL_2 = {"minimum": 2}
POOL_3 = {"minimum": 3}


def rows() -> list[Row]:
    """Return the rows of this family."""
    return [*_average_rows(), *_max_rows(), *_global_rows(), *_adaptive_rows()]


def _average_rows() -> list[Row]:
    return [
        row("AveragePooling1D", SIGNAL, pool_size=2, traits=POOL_2),
        row("AveragePooling1D", SIGNAL, pool_size=3, strides=2, padding="same"),
        row("AveragePooling1D", (None, 3, 7), pool_size=2, data_format="channels_first", traits=POOL_2),
        row("AveragePooling2D", IMAGE, pool_size=2, traits=POOL_2),
        row("AveragePooling2D", IMAGE, pool_size=(2, 3), strides=1, padding="same"),
        row("AveragePooling3D", VOLUME, pool_size=2, traits=POOL_2),
        row("AveragePooling3D", VOLUME, pool_size=2, strides=1, padding="same"),
    ]


def _max_rows() -> list[Row]:
    return [
        row("MaxPooling1D", SIGNAL, pool_size=2, traits=KINKED | POOL_2),
        row("MaxPooling1D", SIGNAL, pool_size=3, strides=2, padding="same", traits=KINKED),
        row("MaxPooling2D", IMAGE, pool_size=3, strides=2, traits=KINKED | POOL_3),
        row("MaxPooling2D", IMAGE, pool_size=(2, 3), strides=1, padding="same", traits=KINKED),
        row("MaxPooling2D", (None, 3, 6, 7), pool_size=2, data_format="channels_first", traits=KINKED | POOL_2),
        row("MaxPooling3D", VOLUME, pool_size=2, traits=KINKED | POOL_2),
        row("MaxPooling3D", VOLUME, pool_size=2, strides=1, padding="same", traits=KINKED),
    ]


def _global_rows() -> list[Row]:
    return [
        row("GlobalAveragePooling1D", SIGNAL),
        row("GlobalAveragePooling1D", SIGNAL, keepdims=True, call={"mask": MASK}),
        row("GlobalAveragePooling1D", (None, 3, 7), data_format="channels_first", traits={"time_axis": 2}),
        row("GlobalAveragePooling2D", IMAGE),
        row("GlobalAveragePooling2D", (None, 3, 6, 7), data_format="channels_first", keepdims=True),
        row("GlobalAveragePooling3D", VOLUME),
        row("GlobalMaxPooling1D", SIGNAL, traits=KINKED),
        row("GlobalMaxPooling1D", SIGNAL, keepdims=True, traits=KINKED),
        row("GlobalMaxPooling2D", IMAGE, keepdims=True, traits=KINKED),
        row("GlobalMaxPooling3D", VOLUME, traits=KINKED),
    ]


def _adaptive_rows() -> list[Row]:
    return [
        row("AdaptiveAveragePooling1D", (None, 7, 3), output_size=2),
        row("AdaptiveAveragePooling2D", (None, 6, 7, 3), output_size=(2, 3)),
        row("AdaptiveAveragePooling3D", (None, 5, 6, 7, 3), output_size=2),
        row("AdaptiveMaxPooling1D", (None, 7, 3), output_size=2, traits=KINKED),
        row("AdaptiveMaxPooling2D", (None, 6, 7, 3), output_size=(2, 3), traits=KINKED),
        row("AdaptiveMaxPooling3D", (None, 5, 6, 7, 3), output_size=2, traits=KINKED),
    ]
