"""Reshaping, cropping, padding, upsampling."""

from typing import Any

from layerwright.catalogue.keras._row import Row, row

SIGNAL = (None, None, 3)
IMAGE = (None, None, None, 3)
VOLUME = (None, None, None, None, 3)
CHANNELS_FIRST: dict[str, Any] = {"data_format": "channels_first"}


def rows() -> list[Row]:
    """Return the rows of this family."""
    return [
        row("Cropping1D", SIGNAL, cropping=(1, 2), traits={"minimum": 4}),
        row("Cropping2D", IMAGE, cropping=((1, 0), (0, 2)), traits={"minimum": 3}),
        row("Cropping2D", (None, 3, 6, 7), cropping=1, **CHANNELS_FIRST),
        row("Cropping3D", VOLUME, traits={"minimum": 3}),
        row("Flatten", (None, 4, 5)),
        row("Flatten", (None, 3, 6, 7), **CHANNELS_FIRST),
        row("Flatten", (None, None, 5)),
        row("Permute", (None, None, 5), dims=(2, 1)),
        row("Permute", (None, 4, 5, 6), dims=(3, 1, 2)),
        row("RepeatVector", (None, 5), n=3),
        row("Reshape", (None, 4, 6), target_shape=(3, 8)),
        row("Reshape", (None, None, 6), target_shape=(-1, 2)),
        row("UpSampling1D", SIGNAL, size=3),
        row("UpSampling2D", IMAGE, size=(2, 3)),
        row("UpSampling2D", IMAGE, interpolation="bilinear"),
        row("UpSampling2D", (None, 3, 6, 7), **CHANNELS_FIRST),
        row("UpSampling3D", VOLUME),
        row("ZeroPadding1D", SIGNAL, padding=(1, 2)),
        row("ZeroPadding2D", IMAGE, padding=((1, 0), (0, 2))),
        row("ZeroPadding2D", (None, 3, 6, 7), padding=2, **CHANNELS_FIRST),
        row("ZeroPadding3D", VOLUME),
    ]
