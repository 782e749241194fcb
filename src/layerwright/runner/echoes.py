"""Recognise an error of the layer that several checks meet."""

import re

RAISED = re.compile(r"\braised (\w+: .+?)(?=; expected |$)", re.DOTALL)


def raised_error(message: str) -> str:
    """Return the exception that a message quotes, without its numbers, which depend on sizes; empty if there is none.

    An exception without a text does not count: two of them need not have one cause.
    """
    found = RAISED.search(message)
    return re.sub(r"\d+", "#", found[1]) if found else ""
