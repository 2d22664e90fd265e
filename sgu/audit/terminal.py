"""An audit on a terminal."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from rich.text import Text

from sgu.audit.findings import Audit
from sgu.audit.tables import Cell, Sheet, sheets, summary

STYLES = {
    "like retrained": "green",
    "remembers": "bold red",
    "over-forgotten": "bold magenta",
    "undecided": "yellow",
    "below the band": "cyan",
    "above the band": "cyan",
}


def show(audit: Audit, console: Console) -> None:
    """Print every table, then what was suppressed, the notes, and the verdicts in brief."""
    for sheet in sheets(audit):
        console.print(f"\n{sheet.title}", style="bold", highlight=False)
        console.print(_fitting(sheet, console), crop=False)
        console.print(sheet.note, style="dim", highlight=False)
    lists = [("Suppressed", audit.suppressed()), ("Notes", audit.notes), *summary(audit).items()]
    for title, lines in lists:
        if lines:
            console.print(f"\n{title}", style="bold", highlight=False)
            console.print("\n".join(lines), highlight=False)


def _fitting(sheet: Sheet, console: Console) -> Table:
    """Return a table of one line a row if the console has room for it, else of two; never cut."""
    endless = console.options.update_width(10_000)
    flat, stacked = (_table(sheet, apart) for apart in (" ", "\n"))
    table = flat if console.measure(flat, options=endless).maximum <= console.width else stacked
    table.width = console.measure(table, options=endless).maximum
    return table


def _table(sheet: Sheet, apart: str) -> Table:
    """apart: what stands between a value and its interval or verdict."""
    table = Table(box=None, header_style="bold", padding=(0, 1, 0, 0))
    for title in sheet.columns:
        table.add_column(title, no_wrap=True)
    for row in sheet.rows:
        heading = len(row) == 1
        table.add_row(*(Text(c.text, "italic") if heading else _shown(c, apart) for c in row))
    return table


def _shown(cell: Cell, apart: str) -> Text:
    word, text = cell.verdict, cell.text.replace(" [", f"{apart}[")
    return Text.assemble(text, apart if word else "", (word, STYLES.get(word, "")))
