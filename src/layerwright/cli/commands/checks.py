"""`layerwright checks`."""

import typer

PLACE = 2


def checks() -> None:
    """List the catalogue of checks."""
    from rich.console import Console
    from rich.table import Table

    from layerwright.checks.discovery import all_checks

    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("code", "check", "", "property"):
        table.add_column(heading, no_wrap=heading in ("code", "check"))
    for each in all_checks():
        table.add_row(each.code, each.slug, "advisory" if each.advisory else "", each.title)
    Console().print(table)
    typer.echo("\n`layerwright explain CODE` explains a check and shows a layer that fails it and one that passes.")
