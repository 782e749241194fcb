"""Signatures and source as readers want them: without the modules that names come from."""

import inspect
import re
from typing import Any

MODULES = re.compile(r"\b(?:[a-z_]+\.)+(?=[A-Za-z_])")
UNPARSABLE = re.compile(r"= <[^>]*>")


def signature(thing: Any) -> str:
    """Return the signature of a function or class, as it would be written; "" if it has none worth showing."""
    try:
        found = inspect.signature(thing)
    except (TypeError, ValueError):
        return ""
    words = UNPARSABLE.sub("= ...", MODULES.sub("", str(found)))
    return re.sub(r"\(self(?:, )?", "(", words).removesuffix(" -> None")


def own_methods(cls: type) -> dict[str, Any]:
    """Return what a class of ours adds to the classes it is made of: public, documented methods and properties."""
    foreign = [base for base in cls.__mro__[1:] if not base.__module__.startswith("layerwright")]
    return {
        name: member
        for name, member in vars(cls).items()
        if not name.startswith("_")
        and (inspect.isfunction(member) or isinstance(member, (property, classmethod, staticmethod)))
        and inspect.getdoc(member)
        and not any(hasattr(base, name) for base in foreign)
    }
