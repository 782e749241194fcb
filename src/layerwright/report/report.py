"""`Run`, the findings of one case on one backend, and `Report`, which gathers runs."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from layerwright.core.errors import CheckFailed, UsageError
from layerwright.core.finding import BAD_OUTCOMES, Finding, Outcome

SCHEMA = 2


@dataclass(frozen=True)
class Run:
    """The findings of one case on one backend.

    Attributes:
        target: Where the layer came from, such as `"my_layers.py:MyLayer"`.
        case: The case in one line, such as `"MyLayer(units=4) on (None, 10, 5)"`.
        backend: `"tensorflow"`, `"jax"` or `"torch"`.
        seconds: How long the checks ran, imports excluded.
        findings: One or more for each check, in the order of their codes.
        notes: What was inferred, where the case was not fully declared.
        id: The case's id: its runs on several backends share it.
        case_status: `"declared"`, `"inferred"` or `"undetermined"`.
        case_data: The case as JSON values: `text`, `init`, `inputs` and `call`.
    """

    target: str
    case: str
    backend: str
    seconds: float
    findings: tuple[Finding, ...]
    notes: tuple[str, ...] = ()
    id: str = ""
    case_status: str = "declared"
    case_data: Mapping[str, Any] = field(default_factory=dict)

    @property
    def layer(self) -> str:
        """The layer's name."""
        return self.target.rpartition(":")[2]

    @property
    def is_undetermined(self) -> bool:
        """Whether no way to construct and call the layer was found, and nothing failed for another reason."""
        return self.case_status == "undetermined" and not any(each.outcome in BAD_OUTCOMES for each in self.findings)

    def to_dict(self) -> dict[str, Any]:
        """Return the run as JSON values."""
        return {
            "id": self.id,
            "target": self.target,
            "layer": self.layer,
            "backend": self.backend,
            "seconds": round(self.seconds, 3),
            "case": {**self.case_data, "text": self.case},
            "case_status": self.case_status,
            "case_evidence": list(self.notes),
            "findings": [finding.to_dict() for finding in self.findings],
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Rebuild a run from `to_dict()`."""
        return cls(
            target=data["target"],
            case=data["case"]["text"],
            backend=data["backend"],
            seconds=data["seconds"],
            findings=tuple(Finding.from_dict(finding) for finding in data["findings"]),
            notes=tuple(data["case_evidence"]),
            id=data["id"],
            case_status=data["case_status"],
            case_data=data["case"],
        )


@dataclass(frozen=True)
class Report:
    """All runs of one invocation.

    Attributes:
        runs: One for each case and backend.
        keras: The version of Keras that ran.
        layerwright: The version of Layerwright that ran.
    """

    runs: tuple[Run, ...]
    keras: str = ""
    layerwright: str = ""

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Every finding of every run."""
        return tuple(finding for run in self.runs for finding in run.findings)

    @property
    def ok(self) -> bool:
        """Whether nothing failed, errored or passed unexpectedly."""
        return not any(finding.outcome in BAD_OUTCOMES for finding in self.findings)

    @property
    def undetermined(self) -> int:
        """The number of runs whose layer could be neither constructed nor called with anything tried."""
        return sum(run.is_undetermined for run in self.runs)

    def summary(self) -> dict[str, int]:
        """Count the findings of each outcome."""
        counts = Counter(finding.outcome for finding in self.findings)
        return {outcome.value: counts[outcome] for outcome in Outcome}

    def raise_if_failed(self) -> None:
        """Raise `CheckFailed`, quoting each failure, unless the report is ok."""
        if not self.ok:
            raise CheckFailed(str(self))

    def to_dict(self) -> dict[str, Any]:
        """Return the report as JSON values, to the schema in `layerwright/report/schema.json`."""
        return {
            "schema": SCHEMA,
            "layerwright": self.layerwright,
            "keras": self.keras,
            "runs": [run.to_dict() for run in self.runs],
            "summary": {**self.summary(), "undetermined": self.undetermined},
        }

    def to_json(self, indent: int | None = None) -> str:
        """Return the report as a JSON document."""
        return json.dumps(self.to_dict(), indent=indent, allow_nan=False, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Rebuild a report from `to_json()`."""
        data = json.loads(text)
        if data.get("schema") != SCHEMA:
            raise UsageError(f"the report has schema {data.get('schema')}; this version of Layerwright reads {SCHEMA}.")
        return cls(tuple(Run.from_dict(run) for run in data["runs"]), data["keras"], data["layerwright"])

    def __str__(self) -> str:
        return "\n".join(self._lines())

    def _repr_html_(self) -> str:
        from layerwright.report import notebook

        return notebook.report(self)

    def _lines(self) -> Iterator[str]:
        for run in self.runs:
            counts = Counter(finding.outcome.value for finding in run.findings)
            said = ", ".join(f"{count} {outcome}" for outcome, count in sorted(counts.items()))
            yield f"{run.case} [{run.backend}]: {said}"
            for finding in run.findings:
                if finding.outcome in BAD_OUTCOMES | {Outcome.WARNED}:
                    yield f"  {finding.code} {finding.check} {finding.outcome}: {finding.message}"
                    if finding.fix:
                        yield f"    fix: {finding.fix}"
