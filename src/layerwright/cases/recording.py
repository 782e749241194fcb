"""Record, inside a user's own program, how layers are constructed and called: one file a process, written at once.

`layerwright cases --observe` starts it through a `sitecustomize` module (`layerwright.runner.observe`).
"""

import contextlib
import os
import pickle
import sys
import threading
import weakref
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, Any

from layerwright.cases.observation import Observer, Use, free_where_different, observing
from layerwright.cases.source import Unwritable, write_value
from layerwright.core.case import Case, InputSpec

MOST_CALLS = 50
"""How many calls of one layer object are looked at."""

NOT_THEIRS = frozenset({"site-packages", "dist-packages"})


@dataclass(frozen=True)
class Recorded:
    """How a layer was constructed and called. Holds nothing of a backend's.

    Attributes:
        layer: The name of the layer's class.
        module: The module to import it from.
        folder: The folder that must be on the path.
        init: Its constructor arguments as source text.
        constructed: The constructor call in short.
        imports: The import statements that `init` needs.
        inputs: The first call argument, as in `Case`; None if the layer was only constructed.
        call: Further call arguments, as in `Case`.
        where: Where it was called, or constructed.
        problem: Why it cannot be constructed so elsewhere; empty if it can.
        model: Whether it is a whole model.
    """

    layer: str
    module: str
    folder: str
    init: str
    constructed: str = ""
    imports: tuple[str, ...] = ()
    inputs: Any = None
    call: Mapping[str, Any] = field(default_factory=dict)
    where: str = ""
    problem: str = ""
    model: bool = False


class Recorder(Observer):
    """Writes each way of constructing or calling a layer that it has not seen to a file of this process.

    Args:
        folder: Where the files go.
        root: The folder below which the user's own layers are defined.
    """

    def __init__(self, folder: Path, root: Path) -> None:
        super().__init__(lambda layer: is_defined_below(layer, root))
        self.folder = folder
        self._seen: set[str] = set()
        self._looked: dict[int, int] = {}
        self._lock = threading.RLock()

    def note_constructed(self, layer: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        """Write down the arguments of a constructor."""
        with self._lock, contextlib.suppress(Exception):  # the user's program must not notice
            super().note_constructed(layer, args, kwargs)
            while self.constructed:
                self._write(self.constructed.pop())
            known = self._init.get(id(layer))
            if known is not None:
                self._init[id(layer)] = replace(known, instance=None)
                weakref.finalize(layer, self._forget, id(layer))

    def note_called(self, layer: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        """Write down the arguments of a call."""
        if not self.wanted(type(layer)) or self._looked.get(id(layer), 0) >= MOST_CALLS:
            return
        with self._lock, contextlib.suppress(Exception):  # as above
            self._looked[id(layer)] = self._looked.get(id(layer), 0) + 1
            self._calls.clear()
            super().note_called(layer, args, kwargs)
            while self.called:
                self._write(self.called.pop())

    def _forget(self, identity: int) -> None:
        self._init.pop(identity, None)
        self._looked.pop(identity, None)

    def _write(self, use: Use) -> None:
        recorded = _recorded(use)
        key = repr(replace(recorded, where=""))
        if key in self._seen:
            return
        self._seen.add(key)
        with (self.folder / f"{os.getpid()}.pickles").open("ab") as file:
            pickle.dump(recorded, file)


def record_into(folder: Path, root: Path) -> None:
    """Record until the end of this process."""
    _recording.enter_context(observing(lambda _: False, Recorder(folder, root)))


_recording = contextlib.ExitStack()


def is_defined_below(layer: type, root: Path) -> bool:
    """Whether a class of layers is defined in a file below a folder, and not in an installed package."""
    known = _below.get((layer, root))
    if known is None:
        file = _file_of(layer)
        known = file is not None and file.is_relative_to(root) and not NOT_THEIRS & set(file.parts)
        _below[layer, root] = known
    return known


_below: dict[tuple[type, Path], bool] = {}


def read_records(folder: Path) -> Iterator[Recorded]:
    """Yield what the processes recorded; a record that a process could not finish is left out."""
    for path in sorted(folder.glob("*.pickles")):
        with path.open("rb") as file:
            yield from _read(file)


def _read(file: IO[bytes]) -> Iterator[Recorded]:
    while True:
        try:
            yield pickle.load(file)
        except (EOFError, pickle.UnpicklingError, AttributeError, IndexError):
            return


def merged(records: list[Recorded]) -> list[Recorded]:
    """Return one record for those that differ in sizes and masks only: an axis of several sizes is free.

    A layer that was only constructed is left out where one with the same arguments was called too.
    """
    found: dict[str, Recorded] = {}
    for record in records:
        plain = sorted(name for name in record.call if "mask" not in name)
        key = f"{record.module}.{record.layer} {record.init} {_kind(record.inputs)} {plain}"
        known = found.get(key)
        found[key] = record if known is None else _joined(known, record)
    called = {(one.module, one.layer, one.init) for one in found.values() if one.inputs is not None}
    return [one for one in found.values() if one.inputs is not None or (one.module, one.layer, one.init) not in called]


def _joined(one: Recorded, other: Recorded) -> Recorded:
    richer = one if len(one.call) >= len(other.call) else other
    poorer = other if richer is one else one
    call = {name: free_where_different(value, poorer.call.get(name, value)) for name, value in richer.call.items()}
    return replace(richer, inputs=free_where_different(richer.inputs, poorer.inputs), call=call, where=one.where)


def _kind(value: Any) -> str:
    """Return what two inputs have in common if one is enough: ranks, dtypes and structure."""
    if isinstance(value, InputSpec):
        return f"{len(value.shape)} {value.dtype}"
    if isinstance(value, Mapping):
        return str({name: _kind(item) for name, item in value.items()})
    if isinstance(value, (list, tuple)):
        return str([_kind(item) for item in value])
    return "-" if value is None else type(value).__name__


def _recorded(use: Use) -> Recorded:
    import keras

    module, folder, problem = _import_of(use.layer)
    try:
        init, imports = write_value(dict(use.init))
    except Unwritable as error:
        init, imports = "{…}", ()
        problem = problem or f"its constructor got {error}"
    case = Case(use.layer, inputs=use.inputs, call=use.call)  # in the form of specs
    return Recorded(
        use.layer.__qualname__,
        module,
        folder,
        init,
        str(Case(use.layer, use.init)),
        imports,
        case.inputs,
        dict(case.call),
        use.where,
        problem,
        issubclass(use.layer, keras.Model),
    )


def _import_of(layer: type) -> tuple[str, str, str]:
    """Return the module to import a class from, the folder that it needs on the path, and why it cannot be."""
    module, file, problem = layer.__module__, _file_of(layer), ""
    if "<" in layer.__qualname__:
        problem = f"{layer.__qualname__} is defined inside a function, and cannot be imported; move it to a module"
    if module == "__main__" and file is not None:
        module = file.stem
        if "__name__" not in file.read_text("utf-8", errors="replace"):
            problem = problem or f"importing {file.name} runs the program; put what it does under `if __name__ == …`"
    if file is None:
        return module, "", problem
    depth = len(module.split(".")) - (0 if file.stem == "__init__" else 1)
    return module, str(file.parents[depth]), problem


def _file_of(layer: type) -> Path | None:
    file = getattr(sys.modules.get(layer.__module__), "__file__", None)
    return None if file is None else Path(file).resolve()
