"""How the predictions for each sample of a probe set change during training."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from layerwright.watch.records import PredictionRecord


@dataclass(frozen=True)
class SampleDynamics:
    """The predictions for one sample, summarised over all recorded steps.

    Attributes:
        id: The sample's name.
        confidence: The mean probability of its label (Swayamdipta et al. 2020, arXiv:2009.10795).
        variability: The standard deviation of that probability (the same paper).
        correctness: The fraction of recorded steps at which the prediction was correct; None without labels.
        forgetting_events: How often the prediction was correct at one recorded step and wrong at the next (Toneva et
            al. 2019, arXiv:1812.05159); None without labels.
        flips: How often the predicted class changed from one recorded step to the next.
        predicted: The class predicted last.
    """

    id: str
    confidence: float
    variability: float
    correctness: float | None
    forgetting_events: int | None
    flips: int
    predicted: int


def sample_dynamics(predictions: Sequence[PredictionRecord]) -> list[SampleDynamics]:
    """Return the dynamics of each sample, the least confident first; an empty list without predictions."""
    if not predictions:
        return []
    found = []
    for place, name in enumerate(predictions[0].ids):
        confidences = [record.confidence[place] for record in predictions]
        classes = [record.predicted[place] for record in predictions]
        correct = [record.correct[place] for record in predictions if record.correct]
        mean = sum(confidences) / len(confidences)
        variance = sum((each - mean) ** 2 for each in confidences) / len(confidences)
        found.append(
            SampleDynamics(
                id=name,
                confidence=mean,
                variability=variance**0.5,
                correctness=sum(correct) / len(correct) if correct else None,
                forgetting_events=_count_changes(correct, only_from_true=True) if correct else None,
                flips=_count_changes(classes),
                predicted=classes[-1],
            )
        )
    return sorted(found, key=lambda sample: sample.confidence)


def _count_changes(values: Sequence[object], only_from_true: bool = False) -> int:
    return sum(before != after and (before is True or not only_from_true) for before, after in pairwise(values))
