"""Work out how the layers of targets are constructed and called, in worker processes, without checking them."""

import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from layerwright.cases.source import WrittenCase
from layerwright.cases.targets import Overrides, Target
from layerwright.core.errors import UsageError
from layerwright.runner.messages import (
    CaseAddress,
    CasesListed,
    CaseWritten,
    DeclaredCase,
    ListCases,
    TargetUnusable,
    WriteCase,
)
from layerwright.runner.parent import IMPORT_SECONDS, BackendServer, Death, ForkServer, ask, memory_limit_bytes
from layerwright.runner.workers import INFERENCE_SHARE


@dataclass(frozen=True)
class Described:
    """How a layer is constructed and called.

    Attributes:
        layer: The layer's name.
        text: The case in one line.
        status: `"declared"`, `"inferred"` or `"undetermined"`; `"observed"` in a program that ran.
        notes: On what evidence.
        written: The case as source text.
        folders: The folders that its imports need on the path.
        tried: What was tried, and how it went.
    """

    layer: str
    text: str
    status: str
    notes: Sequence[str] = ()
    written: WrittenCase = field(default_factory=lambda: WrittenCase(""))
    folders: Sequence[str] = ()
    tried: Sequence[str] = ()


@dataclass(frozen=True)
class Descriptions:
    """What came of it.

    Attributes:
        cases: The cases, in the order of targets and declarations.
        unusable: A line for each target that could not be loaded.
    """

    cases: Sequence[Described]
    unusable: Sequence[str] = ()


def describe_targets(
    targets: Sequence[Target], backend: str, overrides: Overrides, *, jobs: int, timeout_seconds: float
) -> Descriptions:
    """Return how each layer of the targets would be constructed and called on a backend.

    Raises:
        UsageError: If no target can be loaded, or the backend cannot be imported.
    """
    server = BackendServer(backend, memory_limit_bytes(jobs))
    cases: list[Described] = []
    unusable: list[str] = []
    try:
        server.await_ready()
        with tempfile.TemporaryDirectory(prefix="layerwright-") as folder:
            for target in targets:
                try:
                    cases += _describe(server, target, overrides, Path(folder), jobs, timeout_seconds)
                except UsageError as error:
                    unusable.append(str(error))
    finally:
        server.close()
    if unusable and not cases:
        raise UsageError("\n".join(unusable))
    return Descriptions(cases, unusable)


def _describe(
    server: BackendServer, target: Target, overrides: Overrides, logs: Path, jobs: int, seconds: float
) -> Iterator[Described]:
    own = server.server_for(target, logs)
    try:
        addresses = list(_addresses(own, target, overrides, logs))
        with ThreadPoolExecutor(jobs) as pool:
            yield from pool.map(lambda pair: _describe_case(own, pair[0], pair[1], logs, seconds), addresses)
    finally:
        if own is not server:
            own.close()


def _addresses(
    server: ForkServer, target: Target, overrides: Overrides, logs: Path
) -> Iterator[tuple[CaseAddress, DeclaredCase]]:
    try:
        answer = ask(server, ListCases(target, overrides), logs, IMPORT_SECONDS)
    except Death as death:
        raise UsageError(f"{target.module} cannot be imported: it {death}.") from None
    if isinstance(answer, TargetUnusable):
        raise UsageError(answer.reason)
    assert isinstance(answer, CasesListed)
    counts: dict[str, int] = {}
    for case in answer.cases:
        number = counts.get(case.layer, 0)
        counts[case.layer] = number + 1
        yield CaseAddress(target, overrides, case.layer, number), case


def _describe_case(
    server: ForkServer, address: CaseAddress, declared: DeclaredCase, logs: Path, seconds: float
) -> Described:
    try:
        answer = ask(server, WriteCase(address, INFERENCE_SHARE * seconds), logs, max(seconds, IMPORT_SECONDS / 3))
    except Death as death:
        written = WrittenCase(f"lw.Case({declared.layer})", problem=f"it {death}")
        return Described(declared.layer, declared.text, "undetermined", (f"inferring the case {death}",), written)
    if isinstance(answer, TargetUnusable):
        raise UsageError(answer.reason)
    assert isinstance(answer, CaseWritten)
    return Described(
        declared.layer, answer.text, answer.status, answer.notes, answer.written, answer.folders, answer.tried
    )
