"""Convolutions: plain, transposed, separable, depthwise."""

from typing import Any

from layerwright.catalogue.keras._row import Row, row

SIGNAL = (None, None, 4)
IMAGE = (None, None, None, 4)
VOLUME = (None, None, None, None, 4)
KERNEL_3 = {"minimum": 3}
KERNEL_2 = {"minimum": 2}


def _causal(reach: int) -> dict[str, Any]:
    return {"causal": True, "receptive_field": reach}


def rows() -> list[Row]:
    """Return the rows of this family."""
    return [*_signal_rows(), *_image_rows(), *_volume_rows()]


def _signal_rows() -> list[Row]:
    return [
        row("Conv1D", SIGNAL, filters=3, kernel_size=3, traits=KERNEL_3),
        row("Conv1D", SIGNAL, filters=3, kernel_size=3, padding="same", strides=2, use_bias=False),
        row("Conv1D", SIGNAL, filters=3, kernel_size=3, padding="causal", traits=_causal(3)),
        row("Conv1D", SIGNAL, filters=2, kernel_size=2, padding="causal", dilation_rate=3, groups=2, traits=_causal(4)),
        row("Conv1D", (None, 4, 7), filters=3, kernel_size=3, padding="same", data_format="channels_first"),
        row("Conv1DTranspose", SIGNAL, filters=3, kernel_size=3),
        row("Conv1DTranspose", SIGNAL, filters=3, kernel_size=3, padding="same", strides=2, use_bias=False),
        row("Conv1DTranspose", SIGNAL, filters=3, kernel_size=3, strides=3, output_padding=1),
        row("DepthwiseConv1D", SIGNAL, kernel_size=3, depth_multiplier=2, traits=KERNEL_3),
        row("DepthwiseConv1D", SIGNAL, kernel_size=3, padding="same", strides=2, use_bias=False),
        row("SeparableConv1D", SIGNAL, filters=3, kernel_size=3, traits=KERNEL_3),
        row("SeparableConv1D", SIGNAL, filters=3, kernel_size=3, padding="same", dilation_rate=2, use_bias=False),
    ]


def _image_rows() -> list[Row]:
    return [
        row("Conv2D", IMAGE, filters=3, kernel_size=3, traits=KERNEL_3),
        row("Conv2D", IMAGE, filters=3, kernel_size=(2, 3), strides=2, padding="same", activation="tanh"),
        row("Conv2D", IMAGE, filters=4, kernel_size=3, padding="same", dilation_rate=2, groups=2, use_bias=False),
        row("Conv2D", (None, 4, 6, 7), filters=3, kernel_size=3, padding="same", data_format="channels_first"),
        row("Conv2DTranspose", IMAGE, filters=3, kernel_size=3),
        row("Conv2DTranspose", IMAGE, filters=3, kernel_size=2, strides=2, padding="same", use_bias=False),
        row("DepthwiseConv2D", IMAGE, kernel_size=3, depth_multiplier=2, traits=KERNEL_3),
        row("DepthwiseConv2D", IMAGE, kernel_size=2, strides=2, padding="same", use_bias=False),
        row("SeparableConv2D", IMAGE, filters=3, kernel_size=3, traits=KERNEL_3),
        row("SeparableConv2D", IMAGE, filters=3, kernel_size=2, padding="same", depth_multiplier=2, use_bias=False),
    ]


def _volume_rows() -> list[Row]:
    return [
        row("Conv3D", VOLUME, filters=3, kernel_size=2, traits=KERNEL_2),
        row("Conv3D", VOLUME, filters=3, kernel_size=2, strides=2, padding="same", use_bias=False),
        row("Conv3DTranspose", VOLUME, filters=3, kernel_size=2),
        row("Conv3DTranspose", VOLUME, filters=3, kernel_size=2, strides=2, padding="same", use_bias=False),
    ]
