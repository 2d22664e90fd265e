"""A running study on the screen: a live view in its terminal, and a report in any other shell.

Rows tell what has ended. Only the driver knows what is running: it writes that to a file whenever
it changes and every few seconds, so that a report tells a running study from one that was killed.
"""

# ruff: noqa: ARG002 - the hooks have the signatures of ray.tune.Callback

from __future__ import annotations

import json
import os
import sys
import time
from collections import Counter
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import pandas as pd
from ray.tune import Callback
from rich.live import Live
from rich.table import Table

from sgu.files.location import Location
from sgu.files.terminal import printed
from sgu.results.rows import Row, stored
from tune.progress import View, views
from tune.spec.spec import Spec

NAME = "progress.json"
PERIOD = 5.0  # seconds after which the file is written again


class Watch(Callback):
    """The driver's record of the runs under way and the rows so far. folder: for its file."""

    def __init__(self, spec: Spec, rows: pd.DataFrame, slots: int, folder: Path):
        self.spec, self.rows, self.slots, self.files = spec, rows, slots, Location.at(folder)
        self.running: dict[str, str] = {}  # cells, by Tune's names of runs
        self.written, self.shown = 0.0, list[View]()

    def ended(self, row: Row) -> None:
        """Add a row, as it is stored."""
        fresh = pd.DataFrame.from_records([stored(row, self.spec.name)])
        self.rows = pd.concat([self.rows, fresh], ignore_index=True) if len(self.rows) else fresh
        self.shown = []

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self.running[trial.trial_id] = trial.config["cell"]
        self._changed()

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self.running.pop(trial.trial_id, None)
        self._changed()

    on_trial_error = on_trial_recover = on_trial_complete

    def on_step_end(self, iteration: int, trials: list[Any], **info: Any) -> None:
        if time.time() - self.written > PERIOD:
            self._write()

    def on_experiment_end(self, trials: list[Any], **info: Any) -> None:
        self.running.clear()
        self._changed()

    def _changed(self) -> None:
        self.shown = []
        self._write()

    def _write(self) -> None:
        self.written, running = time.time(), Counter(self.running.values())
        state = {"at": self.written, "slots": self.slots, "running": running}
        try:
            self.files.inside(NAME).write(json.dumps(state).encode())
        except OSError:
            return  # a full disk, say: the rows matter, and the recorder reports it

    def table(self) -> Table:
        """Return the live view's table."""
        running = Counter(self.running.values())
        self.shown = self.shown or views(self.spec, self.rows, running, self.slots)
        return _table(self.spec, self.shown)


def live(watch: Watch) -> AbstractContextManager[object]:
    """Show the table below what is printed within the block, if a person sees it."""
    if not on_a_terminal():
        return nullcontext()
    return Live(get_renderable=watch.table, refresh_per_second=1, transient=True)


def on_a_terminal() -> bool:
    """Return True if the output goes to a terminal that can redraw, and not to a log."""
    return sys.stdout.isatty() and not os.environ.get("CI") and os.environ.get("TERM") != "dumb"


def _table(spec: Spec, cells: list[View]) -> Table:
    table = Table(title=f"study {spec.name}", title_justify="left")
    for head in ("cell", "done", "running", "failed", "to go", "hypervolume", "best"):
        right = head in ("running", "failed", "to go", "hypervolume")
        table.add_column(head, justify="right" if right else "left", no_wrap=head != "best")
    for view in cells:
        table.add_row(*view.columns())
    return table


def report(spec: Spec, rows: pd.DataFrame, folder: Path, driver: str | None) -> None:
    """Print how far a study is. driver: the process that runs it, in words; None: no process."""
    state = Location.at(folder).inside(NAME).read_json()
    running = state.get("running", {}) if driver else {}
    cells = views(spec, rows, running, state.get("slots") or spec.slots or 1)
    if on_a_terminal():
        printed(_table(spec, cells))
    else:
        print(*cells, sep="\n")
    if driver:
        heard = f"; last heard of {time.time() - state['at']:.0f} s ago" if state else ""
        print(f"{driver} is at work on it{heard}")
    elif not all(view.budget.finished for view in cells):
        print(f"nobody is at work on it: `sgu-study resume {spec.name}` goes on")
