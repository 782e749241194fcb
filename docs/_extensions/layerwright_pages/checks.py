"""A page a check, and the catalogue by family."""

import importlib
from collections.abc import Iterator, Mapping
from itertools import groupby
from typing import Any

from layerwright.checks.discovery import all_checks
from layerwright.core.check import Check
from layerwright.runner.in_process import run_checks

from .docstrings import markdown

NAMES = {"tensorflow": "TensorFlow", "jax": "JAX", "torch": "PyTorch"}


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
        f"{len(checks)} checks in {len(prefixes)} families. `layerwright check` runs all that apply to a layer; "
        "`--select` and `--ignore` take codes, families (`LW3`) and names, comma separated. A check marked *advisory* "
        "warns and never fails. `layerwright explain LW301` prints in a terminal what stands on a check's page here.",
    ]
    for family, members in families:
        prefix, _, about = _about(family)
        rows = "\n".join(
            f"| [{check.code}](/checks/{check.code}.md) | {check.slug} | {check.title}"
            f"{' *Advisory.*' if check.advisory else ''} |"
            for check in members
        )
        parts.append(f"## {family.capitalize()} ({prefix})\n\n{about}\n\n"
                     f"{{.catalogue}}\n| code | name | what it proves |\n|---|---|---|\n{rows}")  # fmt: skip
    listed = "\n".join(check.code for check in checks)
    return "\n\n".join([*parts, f"```{{toctree}}\n:hidden:\n\n{listed}\n```"]) + "\n"


def _about(family: str) -> tuple[str, str, str]:
    """Return a family's prefix, a colon, and what it is about, from its package's docstring."""
    prefix, colon, about = (importlib.import_module(f"layerwright.checks.{family}").__doc__ or "").partition(": ")
    return prefix, colon, about[:1].upper() + about[1:]


def _page(check: Check) -> str:
    title, _, rest = check.document.partition("\n")
    parts = [
        f"# {check.code} {check.slug}",
        title,
        _facts(check),
        markdown(rest.strip("\n"), lambda section: f"## {section}", "text"),
        f"## A layer that breaks it\n\n```python\n{check.source('bad').strip()}\n```",
        _verdict(check),
        f"## A layer that keeps it\n\n```python\n{check.source('good').strip()}\n```",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _facts(check: Check) -> str:
    prefix, _, _ = _about(check.family)
    facts = {
        "Family": f"[{check.family} ({prefix})](/checks/index.md#{check.family}-{prefix.lower()})",
        "A layer that breaks it": "is warned of (the check is advisory)" if check.advisory else "fails",
        "Must hold first": ", ".join(check.requires),
        "Exempt are": _traits(check.exempt),
        "Applies only to": _traits(check.needs),
        "Compares": "backends, each in a process of its own" if check.across_backends else "",
        "By itself": f"`layerwright check my_layers.py --select {check.code}`",
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


def _verdict(check: Check) -> str:
    """Return what the check says of its bad layer, by running it."""
    import keras

    if check.across_backends:
        return ""
    findings = [finding for finding in run_checks(check.bad(), [check]) if finding.code == check.code]
    said = "\n\n".join(f"{finding.message}\nfix: {finding.fix}" for finding in findings)
    backend = NAMES[keras.backend.backend()]
    return f"What Layerwright says of it, on {backend}:\n\n```{{code-block}} text\n:class: wrapped\n\n{said}\n```"
