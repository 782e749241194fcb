"""Find the checks in their folders, and select among them by code, family or slug."""

import difflib
import importlib
import pkgutil
from collections.abc import Iterable
from functools import cache

from layerwright.core.check import Check, Stage
from layerwright.core.errors import UsageError


@cache
def all_checks() -> tuple[Check, ...]:
    """Return every check that ships, in the order of their codes."""
    return tuple(sorted(_checks_in("layerwright.checks"), key=lambda check: int(check.code[2:])))


def check_by_code(code: str) -> Check:
    """Return the check with this code or slug.

    Raises:
        UsageError: If there is none.
    """
    for check in all_checks():
        if code.upper() == check.code or code == check.slug:
            return check
    family = ", ".join(check.code for check in all_checks() if check.code[:-2] == code.upper())
    if family:
        raise UsageError(f"{code} is a family of checks; give one of {family}.")
    names = [name for check in all_checks() for name in (check.code, check.slug)]
    close = difflib.get_close_matches(code, names, 1)
    meant = f" (did you mean {close[0]}?)" if close else ""
    raise UsageError(f"no check has the code or slug {code!r}{meant}; `layerwright checks` lists them.")


def check_of_stage(stage: Stage) -> Check:
    """Return the check that tests whether a layer can be constructed, or called."""
    return next(check for check in all_checks() if check.stage == stage)


def select_checks(select: Iterable[str] = (), ignore: Iterable[str] = ()) -> tuple[Check, ...]:
    """Return the checks whose code starts with one of `select` (default: all) and with none of `ignore`.

    Either may also be a single text.

    Raises:
        UsageError: If a prefix matches no check, or nothing is left.
    """
    select, ignore = ((one,) if isinstance(one, str) else tuple(one) for one in (select, ignore))
    for prefix in (*select, *ignore):
        if not any(_matches(check, prefix) for check in all_checks()):
            raise UsageError(f"no check's code starts with {prefix!r}; `layerwright checks` lists them.")
    chosen = tuple(
        check
        for check in all_checks()
        if (not select or any(_matches(check, prefix) for prefix in select))
        and not any(_matches(check, prefix) for prefix in ignore)
    )
    if not chosen:
        raise UsageError("no check is left after --select and --ignore; widen one or drop the other.")
    return chosen


def _matches(check: Check, prefix: str) -> bool:
    """Whether `prefix` names the check: its slug, its code, or its family (LW3 is LW301…, not LW3 and LW30)."""
    prefix = prefix.upper()
    if prefix in (check.code, check.slug.upper(), "LW"):
        return True
    family, digits = check.code[:-2], prefix.removeprefix("LW")
    return prefix == family or (prefix.startswith(family) and digits.isdigit() and check.code.startswith(prefix))


def _checks_in(package: str) -> list[Check]:
    found: dict[str, Check] = {}
    root = importlib.import_module(package)
    for info in pkgutil.walk_packages(root.__path__, f"{package}."):
        module = importlib.import_module(info.name)
        for value in vars(module).values():
            if not isinstance(value, Check) or value.function.__module__ != info.name:
                continue
            if value.code in found:
                other = found[value.code].function.__module__
                raise UsageError(
                    f"two checks have the code {value.code}: {other} and {info.name}; give one another code."
                )
            found[value.code] = value
    return list(found.values())
