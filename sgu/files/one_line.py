"""Errors and warnings of a command, each in one line."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import typer


@contextmanager
def one_line_errors(
    command: str, *foreseen: type[Exception], code: Callable[[], int | None] = lambda: None
) -> Iterator[None]:
    """Print a foreseen error in one line on stderr, and end with code 2; warnings in one, too.

    code: returns another code to end with, or None; an error may have an `exit_code` of its own.
    """

    def show(message: Warning | str, *_: Any, **__: Any) -> None:
        typer.echo(f"{command}: {one_line(str(message))}", err=True)

    with warnings.catch_warnings():
        warnings.showwarning = show
        try:
            yield
        except foreseen as error:
            reason = one_line(str(error)) or type(error).__name__
            typer.echo(f"{command}: {reason}", err=True)
            raise typer.Exit(getattr(error, "exit_code", None) or code() or 2) from None


def one_line(text: str) -> str:
    """Return a text in one line, without what a terminal would take for commands."""
    return " ".join(printable(text).split())


def printable(text: str) -> str:
    """Return a text with a space for each character that is none to be read: line ends, and what a
    terminal would take for commands."""
    return "".join(character if character.isprintable() else " " for character in text)
