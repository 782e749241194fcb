"""What `Watch` asks a training step to record."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class WatchRequest:
    """What a training step shall record.

    Attributes:
        layers: The watched layers, by path.
        bins: The number of histogram bins; 0 for no histogram.
        max_elements: The largest number of elements to read from an activation. They come from the first rows of the
            batch.
        feature_means: Whether to compute the mean of each feature over the batch.
        activation_gradients: Whether to record the gradient of the loss with respect to each activation.
        weights: Whether to record weights, their gradients and their updates.
    """

    layers: Mapping[str, Any]
    bins: int
    max_elements: int
    feature_means: bool
    activation_gradients: bool
    weights: bool
