"""A page a check, and the catalogue by family."""

import importlib
import re
import textwrap
from collections.abc import Iterator, Mapping
from itertools import groupby
from typing import Any

from layerwright.checks.discovery import all_checks
from layerwright.core.check import HEADINGS, Check
from layerwright.runner.in_process import run_checks

NAMES = {"tensorflow": "TensorFlow", "jax": "JAX", "torch": "PyTorch"}
HEADING = re.compile(rf"^({'|'.join(HEADINGS)}):\n", re.MULTILINE)


def pages() -> Iterator[tuple[str, str]]:
    """Return the pages' names and texts."""
    checks = all_checks()
    yield "index.md", _catalogue(checks)
    for check in checks:
        yield f"{check.code}.md", _page(check)


def _catalogue(checks: tuple[Check, ...]) -> str:
    families = [(family, list(members)) for family, members in groupby(checks, key=lambda check: check.family)]
    prefixes = {_about(family)[0] for family, _ in families}
    parts = [
        "# The checks",
        f"{len(checks)} checks in {len(prefixes)} families. `layerwright check` runs every check that applies to a "
        "layer. `--select` and `--ignore` take codes, families (`LW3`) and names, separated by commas. A check marked "
        "*advisory* warns and never fails. `layerwright explain LW301` prints the page of a check in a terminal.",
    ]
    for family, members in families:
        prefix, _, about = _about(family)
        rows = "\n".join(
            f"| [{check.code}](/checks/{check.code}.md) | {check.slug} | {check.title}"
            f"{' *Advisory.*' if check.advisory else ''} |"
            for check in members
        )
        parts.append(f"## {family.capitalize()} ({prefix})\n\n{about}\n\n"
                     f"{{.catalogue}}\n| code | name | what it checks |\n|---|---|---|\n{rows}")  # fmt: skip
    listed = "\n".join(check.code for check in checks)
    return "\n\n".join([*parts, f"```{{toctree}}\n:hidden:\n\n{listed}\n```"]) + "\n"


def _about(family: str) -> tuple[str, str, str]:
    """Return a family's prefix, a colon, and what it is about, from its package's docstring."""
    prefix, colon, about = (importlib.import_module(f"layerwright.checks.{family}").__doc__ or "").partition(": ")
    return prefix, colon, about[:1].upper() + about[1:]


def _page(check: Check) -> str:
    parts = [
        f"# {check.code} {check.slug}",
        check.title,
        _facts(check),
        *_sections(check),
        f"## A layer that fails\n\n```python\n{check.source('bad').strip()}\n```",
        _report(check),
        f"## A layer that passes\n\n```python\n{check.source('good').strip()}\n```",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _sections(check: Check) -> Iterator[str]:
    """Return the sections of a check's docstring as Markdown, which their texts are already."""
    _, *parts = HEADING.split(check.document)
    for heading, text in zip(parts[::2], parts[1::2], strict=True):
        yield f"## {heading}\n\n{textwrap.dedent(text).strip()}"


def _facts(check: Check) -> str:
    prefix, _, _ = _about(check.family)
    facts = {
        "Family": f"[{check.family} ({prefix})](/checks/index.md#{check.family}-{prefix.lower()})",
        "Severity": "warning (the check is advisory)" if check.advisory else "failure",
        "Requires": ", ".join(check.requires),
        "Exempt": _traits(check.exempt),
        "Applies only to": _traits(check.needs),
        "Compares": "backends, each in a process of its own" if check.across_backends else "",
        "Run it alone": f"`layerwright check my_layers.py --select {check.code}`",
    }
    items = "\n\n".join(f"{name}\n: {value}" for name, value in facts.items() if value)
    return f"{{.facts}}\n{items}"


def _traits(traits: Mapping[str, Any]) -> str:
    """Return the layers that declare traits, in words."""
    declared = [
        f"`{name}={value!r}`".replace("'", '"')
        for name, values in traits.items()
        for value in (values if isinstance(values, tuple) else (values,))
    ]
    return f"layers that declare {' or '.join(declared)}" if declared else ""


def _report(check: Check) -> str:
    """Return what the check reports for its bad layer, by running it."""
    import keras

    if check.across_backends:
        return ""
    findings = [finding for finding in run_checks(check.bad(), [check]) if finding.code == check.code]
    said = "\n\n".join(f"{finding.message}\nfix: {finding.fix}" for finding in findings)
    backend = NAMES[keras.backend.backend()]
    return f"Layerwright reports, on {backend}:\n\n```{{code-block}} text\n:class: wrapped\n\n{said}\n```"
