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
    """Every table, then what was suppressed, what is to be known, and the verdicts in brief."""
    for sheet in sheets(found):
        console.print(f"\n{sheet.title}", style="bold", highlight=False)
        console.print(_fitting(sheet, console), crop=False)
        console.print(sheet.note, style="dim", highlight=False)
    for title, lines in (("Suppressed", found.suppressed()), ("Notes", found.notes)):
        if lines:
            console.print(f"\n{title}", style="bold")
            console.print("\n".join(lines), highlight=False)
    for model, lines in summary(found).items():
        console.print(f"\n{model}", style="bold", highlight=False)
        console.print("\n".join(lines), highlight=False)


def _fitting(sheet: Sheet, console: Console) -> Table:
    """On one line a row where the console has room for that, else on two; never cut."""
    endless = console.options.update_width(10_000)
    flat, stacked = (_table(sheet, apart) for apart in (" ", "\n"))
    made = flat if console.measure(flat, options=endless).maximum <= console.width else stacked
    made.width = console.measure(made, options=endless).maximum
    return made


def _table(sheet: Sheet, apart: str) -> Table:
    """apart: what stands between a value and its interval or verdict."""
    made = Table(box=None, header_style="bold", padding=(0, 1, 0, 0))
    for title in sheet.columns:
        made.add_column(title, no_wrap=True)
    for row in sheet.rows:
        if len(row) == 1:
            made.add_row(Text(row[0].text, "italic"))
        else:
            made.add_row(*(_shown(cell, apart) for cell in row))
    return made


def _shown(cell: Cell, apart: str) -> Text:
    word, style = STYLES.get(cell.verdict, ("", ""))
    text = cell.text.replace(" [", f"{apart}[")
    return Text.assemble(text, apart if word else "", (word, style))
