"""What becomes of each sample of a probe set while a model learns."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from layerwright.watch.records import PredictionRecord


@dataclass(frozen=True)
class SampleDynamics:
    """How one sample fared over all looks.

    Attributes:
        id: The sample's name.
        confidence: The mean probability of its label (Swayamdipta et al. 2020, arXiv:2009.10795).
        variability: The standard deviation of that probability over the looks (the same).
        correctness: The share of looks at which it was predicted right; None without labels.
        forgetting_events: How often it was right at a look and wrong at the next (Toneva et al. 2019,
            arXiv:1812.05159); None without labels.
        flips: How often the predicted class changed from a look to the next.
        predicted: The class predicted last.
    """

    id: str
    confidence: float
    variability: float
    correctness: float | None
    forgetting_events: int | None
    flips: int
    predicted: int


def dynamics(looks: Sequence[PredictionRecord]) -> list[SampleDynamics]:
    """Return how each sample fared, the least confident first; nothing if there was no look."""
    if not looks:
        return []
    found = []
    for place, name in enumerate(looks[0].ids):
        confidences = [look.confidence[place] for look in looks]
        classes = [look.predicted[place] for look in looks]
        right = [look.correct[place] for look in looks if look.correct]
        mean = sum(confidences) / len(confidences)
        variance = sum((each - mean) ** 2 for each in confidences) / len(confidences)
        found.append(
            SampleDynamics(
                id=name,
                confidence=mean,
                variability=variance**0.5,
                correctness=sum(right) / len(right) if right else None,
                forgetting_events=_changes(right, only_from_true=True) if right else None,
                flips=_changes(classes),
                predicted=classes[-1],
            )
        )
    return sorted(found, key=lambda sample: sample.confidence)


def _changes(values: Sequence[object], only_from_true: bool = False) -> int:
    return sum(before != after and (before is True or not only_from_true) for before, after in pairwise(values))
