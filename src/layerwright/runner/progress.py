"""One case while it is being checked: on one backend, and on all of them."""

import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from layerwright.cases.inferred import Inferred
from layerwright.cases.targets import Target
from layerwright.core.check import Check
from layerwright.core.finding import Finding, Outcome, deciding_outcome, with_identity
from layerwright.report.report import Run
from layerwright.runner.identity import case_id
from layerwright.runner.messages import CaseDescribed


@dataclass
class BackendProgress:
    """A case on one backend.

    Attributes:
        layer: The layer's name.
        backend: The backend.
        number: Which of the layer's cases it is on this backend.
        findings: What its checks have said.
        described: The case, once the worker has described it.
        seconds: How long its checks ran.
        at: The code of the check that is running.
        state: Whether it is to be checked, being checked, or done.
    """

    layer: str
    backend: str
    number: int = 0
    findings: list[Finding] = field(default_factory=list)
    described: CaseDescribed | None = None
    seconds: float = 0.0
    at: str = ""
    state: Literal["waiting", "running", "done"] = "waiting"

    @property
    def outcomes(self) -> dict[str, Outcome]:
        """The outcome of each check so far, by code: the one that decides whether others may run."""
        codes = dict.fromkeys(finding.code for finding in self.findings)
        return {code: deciding_outcome(one for one in self.findings if one.code == code) for code in codes}

    def block_the_rest(self, checks: Sequence[Check]) -> None:
        """Report the checks that never ran as blocked by the first failure."""
        known = self.outcomes
        cause = next((one for one in self.findings if one.outcome in (Outcome.ERRORED, Outcome.FAILED)), None)
        for check in checks:
            if check.code not in known and cause is not None:
                message = f"could not run after {cause.code} {cause.check} {cause.outcome}"
                self.findings.append(with_identity(Finding(Outcome.BLOCKED, message), check.code, check.slug, 0.0))


@dataclass
class CaseProgress:
    """A case on every backend.

    Attributes:
        target: Where the layer comes from.
        index: Which of the target's cases it is.
        number: Which of those cases of the layer it is that have the same text.
        layer: The layer's name.
        text: The case in one line, as it was declared.
        members: The case on each backend.
        is_complete: Whether nothing of it is left to be inferred.
        inferred: What was inferred, once that is known.
        changed: The constructor arguments that a sweep changed.
    """

    target: Target
    index: int
    number: int
    layer: str
    text: str
    members: list[BackendProgress]
    is_complete: bool
    inferred: Inferred | None = None
    changed: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        self._left = len(self.members)

    @property
    def id(self) -> str:
        """The id that its runs share."""
        return case_id(self._name, self.text, self.number)

    @property
    def _status(self) -> str:
        """What is known of the case where no worker has described it."""
        return "declared" if self.is_complete else "undetermined"

    @property
    def _name(self) -> str:
        return f"{self.target.module}:{self.layer}"

    def with_arguments(self, changed: Mapping[str, Any]) -> "CaseProgress":
        """Return the same case with other constructor arguments, not checked yet."""
        members = [BackendProgress(one.layer, one.backend, one.number) for one in self.members if not one.findings]
        return replace(self, text=f"{self.text} with {changed}", members=members, changed=changed)

    def is_last(self) -> bool:
        """Note that the checks on one backend are done; return whether those on all are."""
        with self._lock:
            self._left -= 1
            return self._left == 0

    def runs(self) -> Iterator[Run]:
        """Yield what is known of it, a run for each backend that has begun."""
        for member in self.members:
            if member.state == "done" or member.findings:
                yield self._run(member)

    def _run(self, member: BackendProgress) -> Run:
        described = member.described
        return Run(
            target=self._name,
            case=self.text if described is None else described.data["text"],
            backend=member.backend,
            seconds=member.seconds,
            findings=tuple(sorted(member.findings, key=lambda finding: int(finding.code[2:]))),
            notes=() if described is None else described.notes,
            id=self.id,
            case_status=self._status if described is None else described.status,
            case_data={"text": self.text} if described is None else described.data,
        )
