"""What the values of command line options mean: `--init`, `--input`, `--expect` and lists of codes."""

import ast
from typing import Any

from layerwright.core.errors import UsageError

DTYPES = ("float16", "bfloat16", "float32", "float64", "int8", "int16", "int32", "int64", "uint8", "bool", "string")


def split(texts: list[str] | None) -> list[str]:
    """Return the parts of comma separated lists."""
    return [part.strip() for text in texts or [] for part in text.split(",") if part.strip()]


def parse_init(text: str) -> tuple[str, Any]:
    """Read `units=4`: a name, and a Python literal or else text."""
    name, equals, value = text.partition("=")
    if not equals or not name.isidentifier() or not value:
        raise UsageError(f"--init {text!r} is not NAME=VALUE; write it like --init units=4.")
    try:
        return name, ast.literal_eval(value)
    except (ValueError, SyntaxError):
        return name, value


def parse_input(text: str) -> tuple[str | None, Any]:
    """Read `None,10,5`, `None,10:int32` or `mask=None,10:bool`: a name or None, and an `InputSpec`."""
    from layerwright.core.case import InputSpec

    name, equals, rest = text.rpartition("=")
    shape, _, dtype = rest.partition(":")
    sizes = [part.strip() for part in shape.strip("()[] ").rstrip(",").split(",")]
    if (equals and not name.isidentifier()) or not all(part == "None" or part.isdecimal() for part in sizes):
        raise UsageError(
            f"--input {text!r} is not a shape; write the batch axis first, like --input None,10,5 or None,10:int32."
        )
    if len(sizes) == 1 and sizes[0] != "None":
        raise UsageError(
            f"--input {text!r} holds one size, and the batch axis comes first; write --input None,{shape}."
        )
    if dtype and dtype not in DTYPES:
        raise UsageError(f"--input {text!r} has the dtype {dtype!r}; it must be one of {', '.join(DTYPES)}.")
    shape_sizes = tuple(None if part == "None" else int(part) for part in sizes)
    return name or None, InputSpec((None, *shape_sizes[1:]), dtype or "float32")


def parse_expect(text: str) -> tuple[str, str]:
    """Read `LW301=the reason`: a code and the reason."""
    from layerwright.checks.discovery import check_by_code

    code, equals, reason = text.partition("=")
    if not equals or not reason.strip():
        raise UsageError(
            f"--expect {text!r} gives no reason; write it like --expect 'LW301=normalises over the batch by design'."
        )
    return check_by_code(code.strip()).code, reason.strip()
