"""Preprocessing layers that take numbers."""

from typing import Any

from layerwright.catalogue.keras._row import Row, row
from layerwright.core.case import InputSpec

TOKENS = InputSpec((None, 4), "int32", 0, 6)
COUNTS = InputSpec((None, 1), "int32", 0, 6)
IMAGE = InputSpec((None, 8, 9, 3), "float32", 0.0, 1.0)
BYTES = InputSpec((None, 8, 9, 3), "float32", 0.0, 255.0)
KINKED: dict[str, Any] = {"smooth": False}
UNBATCHED: dict[str, Any] = {"min_rank": 3}
STEPPED = KINKED | UNBATCHED
RANDOM: dict[str, Any] = {"random": True} | STEPPED
MIXING = RANDOM | {"batch": "coupled-in-training"}
UNIT: dict[str, Any] = {"value_range": (0, 1)}


def rows() -> list[Row]:
    """Return the rows of this family."""
    return [*_number_rows(), *_image_rows(), *_random_geometry_rows(), *_random_colour_rows()]


def _number_rows() -> list[Row]:
    lookup: dict[str, Any] = {"vocabulary": [2, 3, 5]}
    crossed = [COUNTS, COUNTS]
    return [
        row("CategoryEncoding", TOKENS, num_tokens=6, traits=KINKED),
        row("CategoryEncoding", COUNTS, num_tokens=6, output_mode="one_hot", traits=KINKED),
        row("CategoryEncoding", TOKENS, num_tokens=6, output_mode="count", traits=KINKED),
        row("Discretization", (None, 5), bin_boundaries=[-1.0, 0.0, 1.0], traits=KINKED),
        row("Discretization", (None, 1), bin_boundaries=[-1.0, 0.0], output_mode="one_hot", traits=KINKED),
        row("HashedCrossing", crossed, num_bins=5, traits=KINKED),
        row("HashedCrossing", crossed, num_bins=5, output_mode="one_hot", traits=KINKED),
        row("Hashing", TOKENS, num_bins=5, traits=KINKED),
        row("Hashing", TOKENS, num_bins=5, mask_value=0, salt=[1, 2], output_mode="multi_hot", traits=KINKED),
        row("IntegerLookup", TOKENS, traits=KINKED, **lookup),
        row("IntegerLookup", TOKENS, output_mode="multi_hot", num_oov_indices=2, traits=KINKED, **lookup),
        row("Normalization", (None, 3), mean=[1.0, 2.0, 3.0], variance=[1.0, 2.0, 4.0]),
        row("Normalization", (None, None, 3), mean=1.0, variance=2.0, axis=None, invert=True),
        row("MelSpectrogram", (None, 400), fft_length=64, sequence_stride=32, num_mel_bins=8, sampling_rate=800),
        row("STFTSpectrogram", (None, 90, 2), frame_length=16, frame_step=8, fft_length=16),
        row("STFTSpectrogram", (None, 90, 1), mode="magnitude", frame_length=16, padding="same", expand_dims=True),
    ]


def _image_rows() -> list[Row]:
    tiles: dict[str, Any] = {"tile_grid_size": (2, 3)}
    return [
        row("AutoContrast", BYTES, traits=STEPPED),
        row("CenterCrop", (None, None, None, 3), height=4, width=3, traits=UNBATCHED | {"minimum": 4}),
        row("CenterCrop", (None, 5, 6, 3), height=7, width=4, traits=UNBATCHED),
        row("ContrastLimitedAdaptiveHistogramEqualization", BYTES, traits=STEPPED, **tiles),
        row("Equalization", BYTES, traits=STEPPED),
        row("MaxNumBoundingBoxes", _boxes(), max_number=4, bounding_box_format="xyxy", traits=STEPPED),
        row("Rescaling", (None, None, None, 3), scale=0.5, offset=-1.0),
        row("Resizing", (None, None, None, 3), height=4, width=7, traits=UNBATCHED),
        row(
            "Resizing",
            (None, 8, 9, 3),
            height=4,
            width=7,
            interpolation="nearest",
            crop_to_aspect_ratio=True,
            traits=UNBATCHED,
        ),
        row("Resizing", (None, 8, 9, 3), height=4, width=7, pad_to_aspect_ratio=True, antialias=True, traits=UNBATCHED),
    ]


def _random_geometry_rows() -> list[Row]:
    return [
        row("CutMix", IMAGE, traits=MIXING),
        row("MixUp", IMAGE, traits=MIXING),
        row(
            "RandomCrop",
            IMAGE,
            height=4,
            width=5,
            traits=RANDOM,
            expect={"LW904": "documented: one place for all images of a batch"},
        ),
        row("RandomElasticTransform", BYTES, traits=RANDOM),
        row("RandomErasing", BYTES, traits=RANDOM),
        row("RandomFlip", IMAGE, traits=RANDOM),
        row("RandomFlip", IMAGE, mode="horizontal", seed=3, traits=RANDOM),
        row("RandomPerspective", IMAGE, traits=RANDOM),
        row("RandomRotation", IMAGE, factor=0.2, traits=RANDOM),
        row("RandomRotation", IMAGE, factor=0.2, fill_mode="constant", interpolation="nearest", traits=RANDOM),
        row("RandomShear", IMAGE, x_factor=0.2, y_factor=0.3, traits=RANDOM),
        row("RandomTranslation", IMAGE, height_factor=0.2, width_factor=0.2, traits=RANDOM),
        row("RandomZoom", IMAGE, height_factor=0.2, traits=RANDOM),
    ]


def _random_colour_rows() -> list[Row]:
    return [
        row("AugMix", BYTES, num_chains=2, chain_depth=1, traits=RANDOM),
        row("RandAugment", BYTES, num_ops=1, traits=RANDOM),
        row("RandomBrightness", IMAGE, factor=0.2, traits=RANDOM, **UNIT),
        row("RandomColorDegeneration", IMAGE, factor=0.5, traits=RANDOM, **UNIT),
        row("RandomColorJitter", IMAGE, brightness_factor=0.2, hue_factor=0.1, traits=RANDOM, **UNIT),
        row("RandomContrast", IMAGE, factor=0.2, traits=RANDOM, **UNIT),
        row("RandomGaussianBlur", IMAGE, traits=RANDOM, **UNIT),
        row("RandomGrayscale", IMAGE, traits=RANDOM),
        row("RandomHue", IMAGE, factor=0.2, traits=RANDOM, **UNIT),
        row("RandomInvert", IMAGE, traits=RANDOM, **UNIT),
        row("RandomPosterization", BYTES, factor=4, traits=RANDOM),
        row("RandomSaturation", IMAGE, factor=0.2, traits=RANDOM, **UNIT),
        row("RandomSharpness", IMAGE, factor=0.2, traits=RANDOM, **UNIT),
        row("Solarization", BYTES, addition_factor=0.2, threshold_factor=0.3, traits=RANDOM),
        row("Pipeline", IMAGE, layers=[_layers().RandomFlip("horizontal"), _layers().Rescaling(2.0)], traits=RANDOM),
    ]


def _boxes() -> dict[str, Any]:
    boxes = {"boxes": InputSpec((None, 6, 4), "float32", 0.0, 8.0), "labels": InputSpec((None, 6), "int32", 0, 3)}
    return {"images": IMAGE, "bounding_boxes": boxes}


def _layers() -> Any:
    import keras

    return keras.layers
