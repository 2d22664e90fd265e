"""Options that the commands share, and errors in one line."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import torch
import typer
from typer import Option

from sgu.ensembles.processes import Died
from sgu.files.one_line import one_line_errors
from sgu.host.provenance import code_version
from sgu.training.loop import Diverged

FORESEEN = (ValueError, OSError, MemoryError, Diverged, Died, torch.OutOfMemoryError)
"""Errors that a command reports in one line."""

CacheOption = Annotated[Path, Option(help="Folder of trained networks.")]
SetOption = Annotated[
    list[str] | None,
    Option("--set", metavar="KEY=VALUE", help="Any other setting, such as batch_size=64."),
]
ThreadsOption = Annotated[int | None, Option(min=1, help="CPU threads; a trial of a study has 1.")]


def _say_version(asked: bool) -> None:
    if asked:
        typer.echo(f"sgu {version('sg-unlearn-study')} ({code_version()[0]})")
        raise typer.Exit


VersionOption = Annotated[
    bool, Option("--version", callback=_say_version, is_eager=True, help="Print the version.")
]
JsonOption = Annotated[bool, Option("--json", help="Print JSON instead.")]


def changes(words: Sequence[str] | None) -> dict[str, str]:
    """Return settings, as texts, from words of the form key=value."""
    settings = {}
    for word in words or ():
        name, equals, value = word.partition("=")
        if not (name and equals):
            raise ValueError(f"--set {word}: expected KEY=VALUE, such as batch_size=64")
        settings[name] = value
    return settings


@contextmanager
def prepared(command: str, threads: int | None, *folders: Path) -> Iterator[None]:
    """Run a command's work: with so many threads, folders to write to, and errors in one line."""
    torch.set_num_threads(threads or torch.get_num_threads())
    with one_line_errors(command, *FORESEEN):
        for folder in folders:
            _check_writable(folder)
        yield


def _check_writable(folder: Path) -> None:
    """Raise ValueError for a folder that can be neither written to nor made."""
    place = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not (place.is_dir() and os.access(place, os.W_OK)):
        what = "cannot be written to" if place.is_dir() else "is a file"
        raise ValueError(f"{folder}: {place} {what}: choose another folder")
