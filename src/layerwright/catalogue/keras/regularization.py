"""Regularisation and noise."""

from typing import Any

from layerwright.catalogue.keras._row import Row, row

RANDOM: dict[str, Any] = {"random": True}
STEPWISE = {"causal": True, "receptive_field": 1}


def rows() -> list[Row]:
    """Return the rows of this family."""
    return [
        row("ActivityRegularization", (None, 5), l1=0.1, l2=0.2),
        row("AlphaDropout", (None, 5), rate=0.5, traits=RANDOM),
        row("AlphaDropout", (None, None, 5), rate=0.5, noise_shape=(None, 1, None), traits=RANDOM),
        row("Dropout", (None, None, 5), rate=0.5, traits=RANDOM | STEPWISE),
        row("Dropout", (None, 6, 5), rate=0.3, noise_shape=(None, 1, 5), seed=3, traits=RANDOM),
        row("GaussianDropout", (None, 5), rate=0.5, traits=RANDOM),
        row("GaussianNoise", (None, 5), stddev=0.5, traits=RANDOM),
        row("SpatialDropout1D", (None, None, 5), rate=0.5, traits=RANDOM),
        row("SpatialDropout2D", (None, None, None, 3), rate=0.5, traits=RANDOM),
        row("SpatialDropout2D", (None, 3, 6, 7), rate=0.5, data_format="channels_first", traits=RANDOM),
        row("SpatialDropout3D", (None, None, None, None, 3), rate=0.5, traits=RANDOM),
    ]
