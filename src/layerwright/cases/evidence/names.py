"""Names of arguments, the weakest evidence: `tokens` are integers, `images` have four axes."""

import re
from collections.abc import Iterator

from layerwright.cases.evidence.kinds import Facts, Subject, TensorFacts
from layerwright.cases.signatures import call_parameters

PLACE = 90

INTEGERS = re.compile(r"ids?|(.*_)?(ids|indices|index|tokens|token_ids|labels)")
IMAGES = re.compile(r"images?|imgs?|pixels|feature_maps?|frames?")
SEQUENCES = re.compile(r"sequences?|query|keys?|values?|hidden_states?|encoder_output.*|timesteps|text_embeddings")


def evidence(subject: Subject) -> Iterator[Facts]:
    """Yield what the names of call arguments suggest."""
    for place, name in enumerate(call_parameters(subject.layer)):
        facts = _suggested(name.lower())
        if facts is None:
            continue
        why = f"the name {name}"
        if place == 0:
            yield Facts(why, tensors={None: facts}, is_guess=True)
        else:
            yield Facts(why, call={name: facts}, is_guess=True)


def _suggested(name: str) -> TensorFacts | None:
    if INTEGERS.fullmatch(name):
        return TensorFacts(dtype="int32")
    if IMAGES.fullmatch(name):
        return TensorFacts(rank=4, sizes={3: 3})
    return TensorFacts(rank=3) if SEQUENCES.fullmatch(name) else None
