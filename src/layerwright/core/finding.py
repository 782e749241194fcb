"""What a check said: `Finding`, its `Outcome`, and the `Place` at fault."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from typing import Any, Self


class Outcome(StrEnum):
    """How a check ended."""

    PASSED = "passed"
    FAILED = "failed"
    WARNED = "warned"
    NOTE = "note"
    SKIPPED = "skipped"
    XFAILED = "xfailed"
    XPASSED = "xpassed"
    BLOCKED = "blocked"
    INCONCLUSIVE = "inconclusive"
    ERRORED = "errored"


BAD_OUTCOMES = frozenset({Outcome.FAILED, Outcome.ERRORED, Outcome.XPASSED})
"""Outcomes that make a report not ok: a failed check, a check that broke, a stale expectation."""

MET_OUTCOMES = frozenset(
    {Outcome.PASSED, Outcome.NOTE, Outcome.WARNED, Outcome.SKIPPED, Outcome.INCONCLUSIVE, Outcome.XPASSED}
)
"""Outcomes of a required check after which the checks that require it may run."""


@dataclass(frozen=True)
class Place:
    """The expression at fault, in the user's source.

    Attributes:
        file: Path of the file.
        line: Its first line, from 1.
        column: Its first column, from 1, in characters.
        end_line: Its last line.
        end_column: The column after its last character.
        function: The function that holds it, such as `"MyLayer.call"`.
        said: What it does, as the end of a sentence that begins with it.
    """

    file: str
    line: int
    column: int
    end_line: int
    end_column: int
    function: str
    said: str


@dataclass(frozen=True)
class Finding:
    """What one check said of one case on one backend.

    Attributes:
        outcome: How the check ended.
        message: What was seen and what was expected.
        fix: What to do about it; empty where there is nothing to do.
        evidence: Numbers and arrays behind the message, as JSON values.
        places: The expressions at fault, where they are known.
        code: The check's code, such as `"LW301"`.
        check: The check's slug, such as `"batch-independence"`.
        seconds: How long the check ran.
    """

    outcome: Outcome
    message: str = ""
    fix: str = ""
    evidence: Mapping[str, Any] = field(default_factory=dict)
    code: str = ""
    check: str = ""
    seconds: float = 0.0
    places: tuple[Place, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the finding as JSON values."""
        return {
            "code": self.code,
            "check": self.check,
            "outcome": self.outcome.value,
            "message": self.message,
            "fix": self.fix,
            "places": [asdict(place) for place in self.places],
            "evidence": jsonable(self.evidence),
            "seconds": round(self.seconds, 4),
        }

    def portable(self) -> Self:
        """Return the finding with its evidence as JSON values, which any process can read."""
        return replace(self, evidence=jsonable(self.evidence))

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Rebuild a finding from `to_dict()`."""
        places = tuple(Place(**place) for place in data["places"])
        return cls(**{**data, "outcome": Outcome(data["outcome"]), "places": places})


def passed(message: str = "", **evidence: Any) -> Finding:
    """The layer has the property."""
    return Finding(Outcome.PASSED, message, "", evidence)


def note(message: str, fix: str, **evidence: Any) -> Finding:
    """The layer has the property, and there is advice for its author."""
    return Finding(Outcome.NOTE, message, fix, evidence)


def failed(message: str, fix: str, **evidence: Any) -> Finding:
    """The layer lacks the property."""
    return Finding(Outcome.FAILED, message, fix, evidence)


def warned(message: str, fix: str, **evidence: Any) -> Finding:
    """The layer lacks a property that an advisory check recommends."""
    return Finding(Outcome.WARNED, message, fix, evidence)


def skipped(reason: str) -> Finding:
    """The property does not apply to this case."""
    return Finding(Outcome.SKIPPED, reason)


def inconclusive(reason: str, fix: str = "", **evidence: Any) -> Finding:
    """The property applies to the case, but could not be tested."""
    return Finding(Outcome.INCONCLUSIVE, reason, fix, evidence)


def deciding_outcome(findings: Iterable[Finding]) -> Outcome:
    """Return the outcome of a check that decides whether checks that require it may run."""
    outcomes = [finding.outcome for finding in findings]
    unmet = (outcome for outcome in outcomes if outcome not in MET_OUTCOMES)
    return next(unmet, outcomes[0] if outcomes else Outcome.PASSED)


def with_identity(finding: Finding, code: str, slug: str, seconds: float) -> Finding:
    """Stamp a finding with the check that made it."""
    return replace(finding, code=code, check=slug, seconds=seconds)


def jsonable(value: Any) -> Any:
    """Turn evidence into JSON values: arrays become nested lists, what is not finite or not JSON becomes text."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, Mapping):
        return {str(key): jsonable(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [jsonable(item) for item in value]
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else str(value)
    # A subclass, such as a StrEnum, may be of a module that only the worker can import.
    if isinstance(value, int) and type(value) is not bool:
        return int(value)
    return value if value is None or type(value) is bool else str(value)
