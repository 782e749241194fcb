"""The command line, from what its own help says."""

import enum
import inspect
import typing
from collections.abc import Iterator
from typing import Any

from typer.models import ArgumentInfo

from layerwright.cli.main import app

INTRODUCTION = """# Command line

`layerwright COMMAND --help` prints in a terminal what stands here; this page is made from it.
"""


def pages() -> Iterator[tuple[str, str]]:
    """Return the page's name and text."""
    commands = ((each.name or each.callback.__name__, each) for each in app.registered_commands if each.callback)
    yield "command-line.md", "\n".join([INTRODUCTION, *(_command(name, each) for name, each in commands)])


def _command(name: str, command: Any) -> str:
    hints = typing.get_type_hints(command.callback, include_extras=True)
    defaults = inspect.signature(command.callback).parameters
    described = {each: (*typing.get_args(hints[each]), defaults[each].default) for each in defaults}
    arguments = {each: parts for each, parts in described.items() if isinstance(parts[1], ArgumentInfo)}
    options = {each: parts for each, parts in described.items() if each not in arguments}
    shown = {each: parts[1].metavar or each.upper() for each, parts in arguments.items()}
    usage = " ".join([f"layerwright {name}", *shown.values(), *(["[OPTIONS]"] if options else [])])
    parts = [f"## {name}", f"```text\n{usage}\n```", inspect.getdoc(command.callback) or ""]
    parts += _listed("Arguments", [(f"`{shown[each]}`", parts[1].help) for each, parts in arguments.items()])
    parts += _listed("Options", [_option(*parts) for parts in options.values()])
    parts.append(_epilog(command.epilog or ""))
    return "\n\n".join(part for part in parts if part) + "\n"


def _listed(title: str, items: list[tuple[str, str]]) -> Iterator[str]:
    if items:
        yield f"**{title}**"
        yield "\n\n".join(f"{shown}\n: {text}" for shown, text in items)


def _option(kind: Any, info: Any, default: Any) -> tuple[str, str]:
    """Return an option as it is written, and what it does."""
    repeatable = any(typing.get_origin(each) is list for each in (kind, *typing.get_args(kind)))
    known = "" if default in (None, "", False) else f" By default `{getattr(default, 'value', default)}`."
    names = [each for each in (info.default, *(info.param_decls or ())) if str(each).startswith("-")]
    if names == ["--jobs"]:
        known = " By default as many as there are processor cores."
    again = " Repeatable." if repeatable and "epeat" not in info.help and "comma" not in info.help else ""
    value = "" if kind is bool else f" {info.metavar or _choices(kind) or 'NUMBER'}"
    return f"`{', '.join(names)}{value}`", f"{info.help}{known}{again}"


def _choices(kind: Any) -> str:
    """Return the values of the enumeration in an option's type; "" if there is none."""
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return "|".join(member.value for member in kind)
    return next(filter(None, map(_choices, typing.get_args(kind))), "")


def _epilog(text: str) -> str:
    """Return the examples in one block, and what follows them."""
    lines = [line.strip() for line in text.strip().splitlines()]
    examples = [line for line in lines if line.startswith("layerwright ")]
    rest = "\n".join(line for line in lines if line not in examples and line != "Examples:").strip()
    shown = "```console\n" + "\n".join(f"$ {line}" for line in examples) + "\n```" if examples else ""
    return "\n\n".join(part for part in (f"**Examples**\n\n{shown}" if shown else "", rest) if part)
