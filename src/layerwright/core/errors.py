"""Every exception that Layerwright raises on purpose.

```
LayerwrightError
├── UsageError        the command, an argument or a target is wrong: exit status 2
├── LayerError        the layer under test raised; `__cause__` is what it raised
│   └── WrongResultError  it returned something of the wrong kind
└── CheckFailed       a report holds failures (also an AssertionError)
```
"""

import re
from collections.abc import Iterator


class LayerwrightError(Exception):
    """Root of the exceptions that Layerwright raises on purpose."""


class UsageError(LayerwrightError):
    """What the user asked for cannot be done as asked; the message says what was seen, what was wanted, what to do."""


class LayerError(LayerwrightError):
    """The layer under test raised while a check was using it.

    Args:
        doing: What was being done, such as `"calling it on a batch of 0"`.
        error: What the layer raised.
    """

    def __init__(self, doing: str, error: BaseException) -> None:
        super().__init__(f"{doing} raised {quote(error)}")
        self.doing = doing
        self.error = error


class WrongResultError(LayerError):
    """The layer returned something of the wrong kind while a check was using it.

    Args:
        doing: What was being done, such as `"get_config()"`.
        returned: What it returned, such as `"a list"`.
        expected: What it must return, such as `"a dict"`.
    """

    def __init__(self, doing: str, returned: str, expected: str) -> None:
        message = f"{doing} returned {returned}; expected {expected}"
        super().__init__(doing, TypeError(message))
        self.args = (message,)


class CheckFailed(LayerwrightError, AssertionError):  # noqa: N818 - reads as the event it is, as pytest's own do
    """A report holds at least one failure."""


def quote(error: BaseException, limit: int = 300) -> str:
    """Name an exception and what it said, on one line of at most `limit` characters.

    What Keras wraps around an exception out of a layer (which layer was called, with which arguments), terminal
    colours and TensorFlow's node names are left out: what is left is what went wrong.
    """
    said = re.sub(r"\x1b\[[0-9;]*m", "", str(error))
    said = re.sub(r"^Exception encountered when calling .*?\n\n", "", said, flags=re.DOTALL)
    said = said.partition("\n\nArguments received by ")[0]
    said = re.sub(r"\{\{function_node .*?\}\} ?|\[Op:\w+\]( name: ?)?", "", said)
    said = " ".join(said.split())
    if len(said) > limit:
        said = said[: limit - 1].rstrip() + "…"
    name = type(error).__name__
    return f"{name}: {said}" if said else name


def chain(error: BaseException) -> Iterator[BaseException]:
    """Yield the exception and those that it was raised from or while handling, the latest first."""
    each: BaseException | None = error
    while each is not None:
        yield each
        each = each.__cause__ or each.__context__


def root_cause(error: BaseException) -> BaseException:
    """Return the exception that Keras quotes in the message of the one it raises instead, if that is what it did."""
    for inner in chain(error):
        if inner is not error and not (str(inner) and str(inner) in str(error)):
            break
        error = inner
    return error
