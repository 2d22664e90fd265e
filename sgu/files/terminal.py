"""Tables on a terminal of any width."""

from __future__ import annotations

import sys

from rich.console import Console, RenderableType

ENDLESS = 10_000


def console(otherwise: int = 100, *, highlight: bool = True) -> Console:
    """Return a console as wide as the terminal, or of `otherwise` columns where there is none."""
    return Console(width=None if sys.stdout.isatty() else otherwise, highlight=highlight)


def printed(content: RenderableType, otherwise: int = 100) -> None:
    """Print a table on the width of the terminal, or on `otherwise` columns where there is none."""
    show(content, console(otherwise))


def show(content: RenderableType, console: Console) -> None:
    """Print a table whose numbers and words are whole: a terminal that is too narrow for them has
    longer lines to break."""
    endless = console.options.update_width(ENDLESS)
    console.width = max(console.width, console.measure(content, options=endless).minimum)
    console.print(content)
