"""What the command's process and its workers say to each other. Every message is a frozen dataclass.

The command's process, which never imports Keras, talks to fork servers (`layerwright.runner.fork_server`). A fork
server starts a child for each task; the child sends answers, the last of which is a `FinalAnswer`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from layerwright.cases.inferred import Inferred
from layerwright.cases.source import WrittenCase
from layerwright.cases.targets import Overrides, Target
from layerwright.core.finding import Finding, Outcome

CRASHED = 70
"""Exit status of a child in which Layerwright's own code raised."""


# To a fork server, and its replies.


@dataclass(frozen=True)
class StartTask:
    """Fork a child for a task, its output going to the file `log`. Reply: `Started`, then the handle of its pipe."""

    task: "Task"
    log: str


@dataclass(frozen=True)
class StartServer:
    """Fork a fork server that has imported a target. Replies: `Started` and the handle of a connection.

    The new server then says `Ready`, `NotReady` or `NotShared` on that connection.
    """

    target: Target
    log: str


@dataclass(frozen=True)
class Reap:
    """Wait for a child that is ending. Reply: `Reaped`."""

    process: int


Request = StartTask | StartServer | Reap


@dataclass(frozen=True)
class Ready:
    """The server can fork. `keras` is the version of Keras."""

    keras: str


@dataclass(frozen=True)
class NotReady:
    """The server cannot be used; `reason` says why."""

    reason: str


@dataclass(frozen=True)
class NotShared:
    """Importing the target started threads, which do not survive a fork: every task must import it by itself."""


@dataclass(frozen=True)
class Started:
    """A child was forked."""

    process: int


@dataclass(frozen=True)
class Reaped:
    """A child has ended with this wait status."""

    status: int


# Tasks of a child.


@dataclass(frozen=True)
class CaseAddress:
    """Which case: the `number`-th of a layer's, in a target with what the command line says of it."""

    target: Target
    overrides: Overrides
    layer: str
    number: int


@dataclass(frozen=True)
class KnownCase:
    """A case that the planner knows: as declared, or as inferred on one backend, perhaps with other arguments."""

    address: CaseAddress
    inferred: Inferred | None = None
    changed: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class ListCases:
    """List the cases of a target. Answer: `CasesListed` or `TargetUnusable`."""

    target: Target
    overrides: Overrides


@dataclass(frozen=True)
class PlanCase:
    """Infer what a case leaves open, and with which other arguments to check it.

    Answers: `CheckStarted` of the check of the call, then `CasePlanned`; or `TargetUnusable`.

    Attributes:
        address: The case.
        sweep: Whether to look for other arguments.
        seconds: How long working the case out may take.
        known: What another backend inferred; it is the answer if the layer can be called so here too.
    """

    address: CaseAddress
    sweep: bool
    seconds: float
    known: Inferred | None = None


@dataclass(frozen=True)
class CheckCase:
    """Run checks on a case.

    Answers: `CheckStarted` of the check of the call, while what is left open is inferred; `CaseDescribed`; for each
    check `CheckStarted` and `CheckFinished`; last `Done`. Or `TargetUnusable`.
    """

    case: KnownCase
    codes: tuple[str, ...]
    seed: int
    outcomes: Mapping[str, Outcome]


@dataclass(frozen=True)
class ObserveCase:
    """Observe what a check across backends compares. Answer: `Observed` or `NotObserved`.

    Attributes:
        case: The case.
        code: The check's code.
        seed: The seed of everything random.
        outcomes: Outcomes of checks that ran before, by code.
        first: What the first backend observed; None on the first.
    """

    case: KnownCase
    code: str
    seed: int
    outcomes: Mapping[str, Outcome]
    first: Any


@dataclass(frozen=True)
class WriteCase:
    """Infer what a case leaves open and write it as source text. Answer: `CaseWritten` or `TargetUnusable`."""

    address: CaseAddress
    seconds: float


Task = ListCases | PlanCase | CheckCase | ObserveCase | WriteCase


# Answers of a child.


@dataclass(frozen=True)
class Answer:
    """What a child says of its task."""


@dataclass(frozen=True)
class FinalAnswer(Answer):
    """The last that a child says."""


@dataclass(frozen=True)
class DeclaredCase:
    """A case as its target declares it.

    Attributes:
        layer: The layer's name.
        text: The case in one line.
        complete: Whether nothing is left to be inferred.
        unsupported: As in `Case`.
    """

    layer: str
    text: str
    complete: bool
    unsupported: Mapping[str, str]


@dataclass(frozen=True)
class CasesListed(FinalAnswer):
    """The cases of a target."""

    cases: Sequence[DeclaredCase]


@dataclass(frozen=True)
class TargetUnusable(FinalAnswer):
    """The target cannot be loaded, or holds no such layer."""

    reason: str


@dataclass(frozen=True)
class CasePlanned(FinalAnswer):
    """What was inferred of a case, and the other constructor arguments that a sweep checks it with.

    Attributes:
        inferred: What was inferred.
        variants: The other constructor arguments.
        is_known: Whether `inferred` is what the task knew already.
    """

    inferred: Inferred
    variants: Sequence[Mapping[str, Any]]
    is_known: bool = False


@dataclass(frozen=True)
class CaseWritten(FinalAnswer):
    """A case as text and as source.

    Attributes:
        text: The case in one line.
        status: As in `Case`.
        notes: As in `Case`.
        written: The case as source text.
        folders: The folders that its imports need on the path.
        tried: What was tried, and how it went.
    """

    text: str
    status: str
    notes: tuple[str, ...]
    written: WrittenCase
    folders: tuple[str, ...]
    tried: tuple[str, ...] = ()


@dataclass(frozen=True)
class CaseDescribed(Answer):
    """How the layer is constructed and called.

    Attributes:
        data: As `Case.to_dict()` returns it.
        status: As in `Case`.
        notes: As in `Case`.
        expect: As in `Case`.
    """

    data: Mapping[str, Any]
    status: str
    notes: tuple[str, ...]
    expect: Mapping[str, str]


@dataclass(frozen=True)
class CheckStarted(Answer):
    """A check begins; it is blamed if the process ends before the next message."""

    code: str


@dataclass(frozen=True)
class CheckFinished(Answer):
    """A check said something."""

    finding: Finding


@dataclass(frozen=True)
class Observed(FinalAnswer):
    """What a check across backends observed here."""

    observation: Any


@dataclass(frozen=True)
class NotObserved(FinalAnswer):
    """Nothing could be observed; the findings say why."""

    findings: Sequence[Finding]


@dataclass(frozen=True)
class Done(FinalAnswer):
    """Every check has run."""
