"""How a running study is shown: a live view in a terminal, and the same for another shell."""

from __future__ import annotations

import json
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
from ray.tune import Callback
from rich.console import Console
from rich.live import Live
from rich.table import Table

from sgu.files.folder import Folder
from sgu.results.rows import Row, stored
from tune.progress import View, views
from tune.spec.spec import Spec

NAME = "progress.json"


SAID_EVERY = 5.0  # seconds between two signs of life


class Watch(Callback):
    """The driver's: which runs are under way, and the rows so far."""

    def __init__(self, spec: Spec, rows: pd.DataFrame, slots: int, folder: Path):
        self.spec, self.rows, self.slots, self.files = spec, rows, slots, Folder.at(folder)
        self.running: dict[str, str] = {}  # cells, by Tune's names of runs
        self.said, self.shown = 0.0, list[View]()

    def ended(self, row: Row) -> None:
        """One more row, as it is stored."""
        fresh = pd.DataFrame.from_records([stored(row, self.spec.name)])
        self.rows = pd.concat([self.rows, fresh], ignore_index=True) if len(self.rows) else fresh
        self.shown = []

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        del iteration, trials, info
        self.running[trial.trial_id] = trial.config["cell"]
        self._changed()

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        del iteration, trials, info
        self.running.pop(trial.trial_id, None)
        self._changed()

    on_trial_error = on_trial_recover = on_trial_complete

    def on_step_end(self, iteration: int, trials: list[Any], **info: Any) -> None:
        del iteration, trials, info
        if time.time() - self.said > SAID_EVERY:
            self._say()

    def on_experiment_end(self, trials: list[Any], **info: Any) -> None:
        del trials, info
        self.running.clear()
        self._changed()

    def _changed(self) -> None:
        self.shown = []
        self._say()

    def _say(self) -> None:
        self.said = time.time()
        told = {"at": self.said, "slots": self.slots, "running": Counter(self.running.values())}
        try:
            self.files.put(NAME, json.dumps(told).encode())
        except OSError:
            return  # a full disk, say: the rows matter, and the recorder tells of them

    def table(self) -> Table:
        running = Counter(self.running.values())
        self.shown = self.shown or views(self.spec, self.rows, running, self.slots)
        return table(self.spec, self.shown)


@contextmanager
def live(watch: Watch) -> Iterator[None]:
    """The view of a study while it runs, below what is printed; nothing where nobody looks."""
    if not someone_looks():
        yield
        return
    with Live(get_renderable=watch.table, refresh_per_second=1, transient=True):
        yield


def someone_looks() -> bool:
    return sys.stdout.isatty() and not os.environ.get("CI") and os.environ.get("TERM") != "dumb"


def table(spec: Spec, found: list[View]) -> Table:
    made = Table(title=f"study {spec.name}", title_justify="left")
    heads = ("cell", "done", "running", "failed", "to go", "hypervolume", "best")
    for head in heads:
        right = head in ("running", "failed", "to go", "hypervolume")
        made.add_column(head, justify="right" if right else "left", no_wrap=head != "best")
    for each in found:
        made.add_row(*each.columns())
    return made


def report(spec: Spec, rows: pd.DataFrame, folder: Path, at_work: str | None) -> None:
    """Print how far a study is. at_work: the driver that holds it."""
    told = json.loads(Folder.at(folder).get(NAME) or "{}")
    running = told.get("running", {}) if at_work else {}
    found = views(spec, rows, running, told.get("slots") or spec.slots or 1)
    if someone_looks():
        Console().print(table(spec, found))
    else:
        print(*found, sep="\n")
    if at_work:
        heard = f"; last heard of {time.time() - told['at']:.0f} s ago" if told else ""
        print(f"{at_work} is at work on it{heard}")
    elif not all(each.budget.finished for each in found):
        print(f"nobody is at work on it: `sgu-study resume {spec.name}` goes on")
