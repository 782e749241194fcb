"""What is to be seen in a training step."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Plan:
    """What is to be seen in a training step.

    Attributes:
        layers: The layers, by path.
        bins: The number of a histogram's bins; 0 for none.
        max_elements: How many elements of an activation are looked at, at most: those of the batch's first rows.
        feature_means: Whether the mean of each feature over the batch is wanted.
        activation_gradients: Whether the gradient of the loss by each activation is wanted.
        weights: Whether weights, their gradients and their updates are wanted.
    """

    layers: Mapping[str, Any]
    bins: int
    max_elements: int
    feature_means: bool
    activation_gradients: bool
    weights: bool
