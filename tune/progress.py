"""How a study is going: a live view in a terminal, and the same for another shell.

The rows say what is over. What is running only the driver knows: it writes that down whenever it
changes and every few seconds, so that another shell tells a study at work from one that was killed.
"""

from __future__ import annotations

import json
import math
import os
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import pandas as pd
from ray.tune import Callback
from rich.console import Console
from rich.live import Live
from rich.table import Table

from analysis.pareto import candidates, losses, volume
from analysis.schema import METRICS, SCHEMA_VERSION, TRIALS
from sgu.rows import Row
from tune.files import Folder
from tune.spec import Spec
from tune.standing import Standing, standings
from tune.store import clean

NAME = "progress.json"
SAID_EVERY = 5.0  # seconds between two signs of life


@dataclass(frozen=True, eq=False)
class View:
    """Of one cell. eta: seconds to the end of the study, None where no run has ended yet;
    best: of the first objective, among the configurations that keep to the constraints."""

    standing: Standing
    running: int
    failed: int
    eta: float | None
    hypervolume: float | None
    best: str

    def columns(self) -> list[str]:
        done, *rest = str(self.standing).removeprefix(f"{self.standing.cell.name}: ").split(", ")
        volume = "–" if self.hypervolume is None else f"{self.hypervolume:.4f}"
        eta = "done" if self.standing.finished else _duration(self.eta)
        controls = [f" (and {text})" for text in rest]
        return [
            self.standing.cell.name, done + "".join(controls), str(self.running), str(self.failed),
            eta, volume, self.best,
        ]  # fmt: skip

    def __str__(self) -> str:
        cell, done, running, failed, eta, volume, best = self.columns()
        left = eta if self.standing.finished else f"{eta} to go"
        return (
            f"{cell}: {done}, {running} running, {failed} failed, {left}; "
            f"hypervolume {volume}, best {best}"
        )


def views(spec: Spec, rows: pd.DataFrame, running: Mapping[str, int], slots: int) -> list[View]:
    """Of each cell, by its rows and by how many of its runs are under way."""
    found = standings(spec, rows)
    eta = _eta(found, rows, slots)
    return [
        View(
            each,
            running.get(each.cell.name, 0),
            int(((rows["cell"] == each.cell.name) & (rows["status"] == "failed")).sum()),
            eta,
            *_reached(spec, each, rows),
        )
        for each in found
    ]


def _eta(found: list[Standing], rows: pd.DataFrame, slots: int) -> float | None:
    """Runs to come, each as long as its cell's mean so far (or the study's), over the slots: a slot
    goes to the cell that is furthest back, so all of them end together."""
    ended = rows[rows["cell"].isin([each.cell.name for each in found])]
    means, every = ended.groupby("cell")["wall_seconds"].mean(), ended["wall_seconds"].mean()
    left = 0.0
    for each in found:
        if each.runs_left is None:
            left += max(0.0, (each.cell.seconds or 0) - each.seconds)
        elif each.runs_left:
            left += each.runs_left * float(means.get(each.cell.name, every))
    return left / slots if math.isfinite(left) else None


def _reached(spec: Spec, standing: Standing, rows: pd.DataFrame) -> tuple[float | None, str]:
    """The hypervolume of a cell, and its best trial."""
    own = rows[rows["cell"] == standing.cell.name]
    found = candidates(own, spec.objectives) if len(own) else own
    if found.empty:
        return None, "–"
    reached = volume(losses(found, spec.objectives), spec.objectives)
    first = spec.objectives[0]
    kept = found[_kept(spec, found, rows[rows["cell"] == standing.cell.data])]
    if kept.empty:
        return reached, "none keeps to the constraints"
    best = kept.sort_values(first, ascending=METRICS[first].goal == "min").iloc[0]
    return reached, f"{first} {best[first]:.4g} ({best['trial_id']})"


def _kept(spec: Spec, found: pd.DataFrame, references: pd.DataFrame) -> pd.Series:
    """Which configurations keep to the constraints."""
    kept = pd.Series(data=True, index=found.index, dtype=bool)
    for name, bound in spec.constraints.items():
        own = references[references["trial_id"] == bound.above]
        zero = own.loc[own["seed"].isin(spec.runs()), name].mean() if bound.above else 0.0
        kept &= (found[name] - zero).map(bound.excess) <= 0
    return kept


class Watch(Callback):
    """The driver's: which runs are under way, and the rows so far."""

    def __init__(self, spec: Spec, rows: pd.DataFrame, slots: int, folder: Path):
        self.spec, self.rows, self.slots, self.files = spec, rows, slots, Folder.at(folder)
        self.running: dict[str, str] = {}  # cells, by Tune's names of runs
        self.said, self.shown = 0.0, list[View]()

    def ended(self, row: Row) -> None:
        """One more row, as it is stored."""
        known = {"schema_version": SCHEMA_VERSION, "study": self.spec.name} | row
        fresh = pd.DataFrame.from_records([clean(known, TRIALS)])
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
            return  # a full disk, say: the rows matter, and the sink tells of them

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


@contextmanager
def stoppable(say: Callable[[str], None]) -> Iterator[None]:
    """Ctrl-C once ends Tune's loop, as its own handler would do without a word; twice, all."""
    before, pressed = signal.getsignal(signal.SIGINT), False

    def on_interrupt(number: int, frame: FrameType | None) -> None:
        nonlocal pressed
        in_tune = callable(signal.getsignal(signal.SIGUSR1))  # where it listens for a stop, too
        if in_tune and not pressed:
            pressed = True
            signal.raise_signal(signal.SIGUSR1)
            with suppress(OSError, RuntimeError):  # nobody listens, or a line is being printed
                say("ending: what is under way will be gone on with (Ctrl-C again: at once)")
        elif callable(before):
            before(number, frame)

    if threading.current_thread() is not threading.main_thread():
        yield  # signals are the main thread's
        return
    signal.signal(signal.SIGINT, on_interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        signal.signal(signal.SIGUSR1, signal.SIG_DFL)


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
    elif not all(each.standing.finished for each in found):
        print(f"nobody is at work on it: `sgu-study resume {spec.name}` goes on")


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return "–"
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
