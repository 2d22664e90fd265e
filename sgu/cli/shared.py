"""What the commands share: options, and errors of one line."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from typer import Option

from sgu.ensembles.processes import Died
from sgu.training.loop import Diverged

FORESEEN = (ValueError, OSError, MemoryError, Diverged, Died, torch.OutOfMemoryError)
"""What a command says in one line."""

CACHE = Annotated[Path, Option(help="Folder of trained originals.")]
SET = Option("--set", metavar="KEY=VALUE", help="Any other setting, such as batch_size=64.")


def changes(given: Sequence[str]) -> dict[str, Any]:
    """Settings from words of the form key=value."""
    parts = [word.partition("=") for word in given]
    for word, (key, equals, _) in zip(given, parts, strict=True):
        if not (key and equals):
            raise ValueError(f"--set {word}: expected KEY=VALUE, such as batch_size=64")
    return {key: value_of(value) for key, _, value in parts}


def value_of(text: str) -> Any:
    """A value as JSON writes it, or else the text itself."""
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text


def writable(*folders: Path) -> None:
    """Raise ValueError for a folder that can be neither written to nor made."""
    for folder in folders:
        there = next(each for each in (folder, *folder.absolute().parents) if each.exists())
        if not (there.is_dir() and os.access(there, os.W_OK)):
            what = "cannot be written to" if there.is_dir() else "is a file"
            raise ValueError(f"{folder}: {there} {what}: choose another folder")


@contextmanager
def one_line_errors(command: str, *foreseen: type[Exception]) -> Iterator[None]:
    """Says a foreseen error in one line on stderr and ends with code 2."""
    try:
        yield
    except foreseen as error:
        said = " ".join(str(error).split()) or type(error).__name__
        typer.echo(f"{command}: {said}", err=True)
        raise typer.Exit(2) from None
