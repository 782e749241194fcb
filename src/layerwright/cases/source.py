"""Write cases as Python source: a module with a list `CASES` that can be imported and checked."""

import math
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from layerwright.cases.signatures import constructor_parameters, is_required
from layerwright.core.case import Case, InputSpec, Traits

LONGEST = 110
MOST_ENTRIES = 64
"""The largest array that is written out."""


class Unwritable(Exception):  # noqa: N818 - caught where it is dealt with
    """A value has no source text that means the same elsewhere. The message names it."""


@dataclass(frozen=True)
class WrittenCase:
    """A case as source text. Holds nothing of a backend's.

    Attributes:
        source: The expression that makes the case.
        imports: The import statements that it needs.
        function: The definition of a function that it needs; empty if it needs none.
        problem: Why the case cannot be used as it stands; empty if it can.
    """

    source: str
    imports: tuple[str, ...] = ()
    function: str = ""
    problem: str = ""


def write_case(case: Case) -> WrittenCase:
    """Return a case as source text; what cannot be written, or is not known, is a `problem`."""
    writer = _Writer()
    problems: list[str] = []
    arguments: list[str] = []
    try:
        layer, function = writer.layer(case.layer)
    except Unwritable as error:
        layer, function = getattr(case.layer, "__name__", "layer"), ""
        problems.append(str(error))
    for name, value in _arguments(case):
        try:
            arguments.append(f"{name}={writer.value(value, explicit=name == 'call')}")
        except Unwritable as error:
            problems.append(f"{name} holds {error}")
    if case.undetermined:
        problems.insert(0, "no way to construct and call the layer was found")
    elif case.inputs is None:
        problems.insert(0, "its inputs are not known")
    return WrittenCase(
        _call("lw.Case", [layer, *arguments]), tuple(sorted(writer.imports)), function, "; ".join(problems)
    )


def write_value(value: Any) -> tuple[str, tuple[str, ...]]:
    """Return source text for a value, and the import statements that it needs.

    Raises:
        Unwritable: If there is none.
    """
    writer = _Writer()
    return writer.value(value), tuple(sorted(writer.imports))


def write_call(layer: str, init: str, inputs: Any, call: Mapping[str, Any], traits: Mapping[str, Any]) -> str:
    """Return the source of a case whose layer and constructor arguments are source text already."""
    arguments = [layer, *([f"init={init}"] if init not in ("", "{}") else [])]
    for name, value in (("inputs", inputs), ("call", dict(call)), ("traits", dict(traits))):
        if value not in (None, {}):
            arguments.append(f"{name}={_Writer().value(value, explicit=name == 'call')}")
    return _call("lw.Case", arguments)


def write_module(
    title: str,
    cases: Iterable[tuple[WrittenCase, Sequence[str]]],
    folders: Sequence[str] = (),
    path: Path | None = None,
) -> str:
    """Return the source of a module with the list `CASES`.

    Args:
        title: What the cases are of.
        cases: The cases, each with notes on where it comes from.
        folders: The folders that its imports need on the path.
        path: Where the module will lie: its own folder is on the path anyway.
    """
    cases = list(cases)
    here = None if path is None else path.resolve().parent
    outside = [folder for folder in map(Path, folders) if here is None or folder.resolve() != here]
    own = [written for written, _ in cases if not written.problem]
    imports = {line for written in own for line in written.imports}
    lines = [f'"""How the layers of {title} are constructed and called."""', ""]
    if outside:
        lines += ["import sys", "from pathlib import Path", ""]
    lines += [*sorted(line for line in imports if line.startswith("import ")), "import layerwright as lw", ""]
    lines += [f"sys.path.insert(0, {_folder(folder.resolve(), here)})" for folder in outside]
    froms = _grouped(line for line in imports if line.startswith("from "))
    lines += [f"{line}  # noqa: E402" for line in froms] if outside else froms
    functions = list(dict.fromkeys(written.function for written in own if written.function))
    for function in functions:
        lines += ["", "", *function.splitlines()]
    lines += ["", "" if functions else None, "CASES = ["]  # type: ignore[list-item]
    for written, notes in cases:
        lines += [f"    # {line}" for note in notes for line in note.splitlines()]
        if written.problem:
            lines += [f"    # {line}" for line in f"Not used: {written.problem}.".splitlines()]
            lines += [f"    # {line}" for line in f"{written.source},".splitlines()]
        else:
            lines += [f"    {line}" for line in f"{written.source},".splitlines()]
    text = "\n".join([*(line for line in lines if line is not None), "]", ""])
    while "\n\n\n\n" in text:
        text = text.replace("\n\n\n\n", "\n\n\n")
    return text


def _folder(folder: Path, here: Path | None) -> str:
    if here is None:
        return _text(str(folder))
    return f"str(Path(__file__).resolve().parent / {_text(os.path.relpath(folder, here))})"


def _grouped(lines: Iterable[str]) -> list[str]:
    """Join `from m import a` and `from m import b`."""
    names: dict[str, set[str]] = {}
    for line in lines:
        module, _, name = line.removeprefix("from ").partition(" import ")
        names.setdefault(module, set()).add(name)
    return [f"from {module} import {', '.join(sorted(found))}" for module, found in sorted(names.items())]


def _arguments(case: Case) -> Iterator[tuple[str, Any]]:
    """Yield the arguments of `Case` that differ from their defaults."""
    usual = Traits()
    traits = {each.name: getattr(case.traits, each.name) for each in fields(Traits)}
    own = {name: value for name, value in traits.items() if value != getattr(usual, name)}
    found = {
        "init": dict(case.init),
        "inputs": case.inputs,
        "call": dict(case.call),
        "traits": own,
        "expect": dict(case.expect),
        "name": case.name,
        "reference": case.reference,
        "unsupported": dict(case.unsupported),
    }
    yield from ((name, value) for name, value in found.items() if value not in ({}, "", None) or value is False)


def _call(name: str, arguments: Sequence[str]) -> str:
    """Return the source of a call, on several lines if one is too long."""
    line = f"{name}({', '.join(arguments)})"
    if len(line) <= LONGEST:
        return line
    return "\n".join([f"{name}(", *(f"    {argument}," for argument in arguments), ")"])


def _text(value: str) -> str:
    return repr(value) if '"' in value else f'"{repr(value)[1:-1]}"'


class _Writer:
    """Turns values into source text, and gathers the imports that it needs."""

    def __init__(self) -> None:
        self.imports: set[str] = set()

    def layer(self, layer: Any) -> tuple[str, str]:
        """Return the name of what constructs a layer, and the definition of it if it is made here."""
        if getattr(layer, "copies_model", False):
            raise Unwritable("the model is no class or function; give its file or name to `layerwright check`")
        rebuilds = getattr(layer, "rebuilds", None)
        if rebuilds is None:
            return self._name(layer), ""
        kind, config = rebuilds
        name = f"{kind.__name__.lower()}_from_config"
        config = {key: value for key, value in config.items() if key not in ("name", "trainable")}
        body = f"    return {self._name(kind)}.from_config({{**{self.value(config)}, **arguments}})"
        return name, f"def {name}(**arguments):\n{body}"

    def value(self, value: Any, *, explicit: bool = False) -> str:
        """Return source text for a value.

        Raises:
            Unwritable: If there is none.
        """
        if type(value) is str:
            return _text(value)
        if value is None or (isinstance(value, (bool, int, str, bytes)) and type(value).__module__ == "builtins"):
            return repr(value)
        if isinstance(value, float):
            return repr(float(value)) if math.isfinite(value) else f'float("{value}")'
        if isinstance(value, InputSpec):
            return self._spec(value, explicit=explicit)
        if isinstance(value, Mapping):
            items = ", ".join(
                f"{self.value(key)}: {self.value(item, explicit=explicit)}" for key, item in value.items()
            )
            return f"{{{items}}}"
        if type(value) in (list, tuple):
            items = ", ".join(self.value(item, explicit=explicit) for item in value)
            return f"[{items}]" if isinstance(value, list) else f"({items}{',' * (len(value) == 1)})"
        if type(value) in (set, frozenset) and value:
            items = ", ".join(sorted(self.value(item) for item in value))
            return f"{{{items}}}" if isinstance(value, set) else f"frozenset({{{items}}})"
        if isinstance(value, type) or (callable(value) and hasattr(value, "__qualname__")):
            return self._name(value)
        if hasattr(value, "get_config"):
            return self._keras_object(value)
        return self._array(value)

    def _spec(self, spec: InputSpec, *, explicit: bool) -> str:
        given = [repr(spec.shape)]
        if spec.dtype != "float32":
            given.append(_text(spec.dtype))
        given += [f"{name}={getattr(spec, name)!r}" for name in ("low", "high") if getattr(spec, name) is not None]
        if len(given) == 1 and not explicit:
            return given[0]
        return f"lw.InputSpec({', '.join(given)})"

    def _name(self, value: Any) -> str:
        """Return the name of a class or function, and see to its import."""
        module, name = getattr(value, "__module__", None), getattr(value, "__qualname__", "")
        if not module or "<" in name:
            raise Unwritable(f"{name or value!r}, which has no name that can be imported")
        if module == "builtins":
            return str(name)
        if module.split(".")[0] == "keras":
            return self._name_in_keras(value)
        if module == "__main__":
            raise Unwritable(f"{name}, which the program itself defines (`__main__`); move it to a module")
        self.imports.add(f"from {module} import {name.split('.')[0]}")
        return str(name)

    def _name_in_keras(self, value: Any) -> str:
        import keras

        self.imports.add("import keras")
        own_name = str(getattr(value, "__name__", ""))
        for room in ("layers", "activations", "initializers", "ops", "regularizers", "constraints", "losses", "random"):
            if getattr(getattr(keras, room), own_name, None) is value:
                return f"keras.{room}.{own_name}"
        raise Unwritable(f"{own_name} of Keras, which has no public name")

    def _keras_object(self, value: Any) -> str:
        import keras

        if isinstance(value, keras.DTypePolicy):
            return _text(value.name)
        short = self._constructor_call(value)
        if short:
            return short
        # A layer's own get_config may raise anything.
        try:
            saved = keras.saving.serialize_keras_object(value)
        except Exception:
            raise Unwritable(f"a {type(value).__name__} that cannot be serialised") from None
        kind = type(value)
        if not isinstance(saved, dict):
            return self.value(saved)
        self.imports.add("import keras")
        if isinstance(value, keras.layers.Layer):
            saved["config"] = {key: item for key, item in saved["config"].items() if key != "name"}
        known = (
            ""
            if kind.__module__.split(".")[0] == "keras"
            else f", custom_objects={{{kind.__name__!r}: {self._name(kind)}}}"
        )
        return f"keras.saving.deserialize_keras_object({self.value(saved)}{known})"

    def _constructor_call(self, value: Any) -> str:
        """Return the call that constructs an object by the arguments that differ; empty if none does."""
        # Whatever Keras raises for a config that is not plain, the serialised form remains.
        try:
            name, kind = self._name(type(value)), type(value)
            config = {key: item for key, item in value.get_config().items() if key not in ("name", "dtype")}
            required = {key: config[key] for key, each in constructor_parameters(kind).items() if is_required(each)}
            usual = kind(**required).get_config()
            given = {**required, **{key: item for key, item in config.items() if item != usual[key]}}
            made = {key: item for key, item in kind(**given).get_config().items() if key in config}
            if made != config or getattr(value, "dtype_policy", None) != getattr(kind(**given), "dtype_policy", None):
                return ""
            return f"{name}({', '.join(f'{key}={self.value(item)}' for key, item in given.items())})"
        except Exception:
            return ""

    def _array(self, value: Any) -> str:
        import numpy as np

        if isinstance(value, (np.ndarray, np.generic)) and value.size <= MOST_ENTRIES and value.dtype.kind in "fiub":
            self.imports.add("import numpy as np")
            return f"np.array({self.value(value.tolist())}, {str(value.dtype)!r})"
        raise Unwritable(f"a {type(value).__name__}, which has no short source text")
