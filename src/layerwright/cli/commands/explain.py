"""`layerwright explain`."""

from typing import Annotated

import typer

PLACE = 3


def explain(code: Annotated[str, typer.Argument(help="A check's code or slug, such as `LW301`.")]) -> None:
    """Explain a check: what it proves, why it matters, how it is tested, a layer that fails it and one that passes."""
    from rich.console import Console
    from rich.syntax import Syntax

    from layerwright.checks.discovery import check_by_code

    found = check_by_code(code)
    console = Console(highlight=False)
    console.print(f"[bold]{found.code} {found.slug}[/]" + (" (advisory: warns, never fails)" if found.advisory else ""))
    console.print()
    console.print(found.document, markup=False)
    for name, heading in (("bad", "A layer that fails it:"), ("good", "A layer that passes it:")):
        console.print(f"\n[bold]{heading}[/]")
        source = found.source(name)
        widest = max(map(len, source.splitlines()))
        uncut = Console(width=max(console.width, widest + 1), highlight=False)
        uncut.print(Syntax(source, "python", background_color="default"))
