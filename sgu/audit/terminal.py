"""An audit on a terminal."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from rich.text import Text

from sgu.audit.findings import Audit
from sgu.audit.tables import Cell, Sheet, sheets, summary

STYLES = {
    "inside": ("inside", "green"),
    "under-forgotten": ("under", "bold red"),
    "over-forgotten": ("over", "bold magenta"),
    "worse": ("worse", "yellow"),
    "better": ("better", "cyan"),
}


def show(found: Audit, console: Console) -> None:
    """Every table, then what was suppressed or left out, and the verdicts in a few lines."""
    for sheet in sheets(found):
        console.print(f"\n{sheet.title}", style="bold", highlight=False)
        console.print(_table(sheet))
        console.print(sheet.note, style="dim", highlight=False)
    for title, lines in (("Suppressed", found.suppressed()), ("Left out", found.notes)):
        if lines:
            console.print(f"\n{title}", style="bold")
            console.print("\n".join(lines), highlight=False)
    for model, lines in summary(found).items():
        console.print(f"\n{model}", style="bold", highlight=False)
        console.print("\n".join(lines), highlight=False)


def _table(sheet: Sheet) -> Table:
    made = Table(box=None, header_style="bold", padding=(0, 1, 0, 0))
    for title in sheet.columns:
        made.add_column(title, no_wrap=True)
    for row in sheet.rows:
        if len(row) == 1:
            made.add_row(Text(row[0].text, "italic"))
        else:
            made.add_row(*map(_shown, row))
    return made


def _shown(cell: Cell) -> Text:
    word, style = STYLES.get(cell.verdict, ("", ""))
    return Text.assemble(cell.text, " " if word else "", (word, style))
