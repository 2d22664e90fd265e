"""`sgu data check`: all that is wrong with a folder of images, before anything is trained."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table
from typer import Argument, Option

from sgu.cli.shared import JsonOption, prepared
from sgu.data.check import Checked, check_folder
from sgu.files.atomic import atomic_write
from sgu.files.terminal import console

app = typer.Typer(help="Look at data before anything is trained.", no_args_is_help=True)
LISTED = 20  # faults, and notes, that are shown; --json has all


@app.callback()
def data() -> None:
    """Look at data before anything is trained."""


@app.command()
def check(
    folder: Annotated[str, Argument(help="As for --data: a folder, perhaps with @64 after it.")],
    holdout: Annotated[
        float | None, Option(help="The share to be held out, where there is no test part.")
    ] = None,
    out: Annotated[Path, Option(help="Folder of the picture of samples.")] = Path("results/data"),
    as_json: JsonOption = False,
) -> None:
    """Say all that is wrong with a folder of images: parts, classes, sizes, channels, labels,
    unreadable files and pictures that are there twice; draw some of each class.

    Ends with code 2 if the folder cannot be used.
    """
    with prepared("sgu data check", None, out):
        checked = check_folder(folder, holdout)
        picture = out / f"{re.sub(r'[^0-9A-Za-z@.-]+', '-', folder).strip('-')}.png"
        if checked.samples:
            with atomic_write(picture) as unfinished:
                checked.sheet().save(unfinished, "PNG")
    if as_json:
        typer.echo(json.dumps(_record(checked, picture), indent=2))
    else:
        _show(checked, picture)
    if checked.faults:
        raise typer.Exit(2)


def _record(checked: Checked, picture: Path) -> dict[str, object]:
    return {
        "counts": checked.counts,
        "sizes": {f"{width}x{height}": n for (width, height), n in checked.sizes.items()},
        "channels": checked.channels,
        "faults": checked.faults,
        "notes": checked.notes,
        "samples": str(picture) if checked.samples else None,
    }


def _show(checked: Checked, picture: Path) -> None:
    """Print a row a class, then sizes and channels, faults and notes."""
    screen = console(highlight=False)
    table = Table("class", *checked.counts, box=None, header_style="bold")
    for label in checked.classes:
        table.add_row(label, *(f"{counts[label]:,}" for counts in checked.counts.values()))
    table.add_row("in all", *(f"{counts.total():,}" for counts in checked.counts.values()))
    screen.print(table)
    sizes = [f"{w} x {h} ({n:,})" for (w, h), n in checked.sizes.most_common(6)]
    more = f", and {len(checked.sizes) - 6} others" if len(checked.sizes) > 6 else ""
    screen.print(f"\nsizes: {', '.join(sizes)}{more}", soft_wrap=True)
    channels = [f"{name} ({n:,})" for name, n in checked.channels.items()]
    screen.print(f"channels: {', '.join(channels)}")
    for title, lines in (("faults", checked.faults), ("to be known", checked.notes)):
        shown = [f"  {line}" for line in lines[:LISTED]]
        shown += [f"  and {len(lines) - LISTED} more: --json"] if len(lines) > LISTED else []
        screen.print(f"{title}: {len(lines) or 'none'}", *shown, sep="\n", soft_wrap=True)
    if checked.samples:
        screen.print(f"samples: {picture}", soft_wrap=True)
