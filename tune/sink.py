"""From what Ray Tune reports to result rows: the driver's callback, which never raises."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable
from typing import Any

from ray.tune import Callback

from sgu.experiment import Experiment
from sgu.provenance import code_version
from sgu.training import steps_an_epoch
from sgu.world import World
from tune.store import Row, Store

Say = Callable[[str], None]
ROW: Row = {"status": "complete", "reason": None, "attempt": 0, "control": True}
GAME = ("alpha", "reg", "solve_every", "update")


def context(experiment: Experiment, world: World) -> Row:
    """The provenance that all rows of a study share."""
    version, dirty = code_version()
    return {
        "dataset": world.source.name,
        "model": experiment.model,
        "code_version": version,
        "code_dirty": dirty,
        "data_fingerprint": world.source.fingerprint,
        "split_digest": world.splits.digest,
    }


def described(settings: dict[str, Any], retain: int) -> Row:
    """A configuration as columns; what a method has no use for is null.

    retain: its number of examples, which turns "epoch" into steps.
    """
    row = {"method": settings["method"], "seed": settings["seed"], "config": settings}
    if settings["method"] == "finetune":
        return row | {"alpha": 0.0}
    if settings["method"] != "sg":
        return row
    row |= {name: settings[name] for name in GAME}
    if row["solve_every"] == "epoch" or row["update"] == "alternate":
        row["solve_every"] = steps_an_epoch(retain, settings["batch_size"])
    return row


class Sink(Callback):
    """Writes a trial's rows when it ends, and says so in one line.

    A row that cannot be written (a full disk, say) is kept and tried again with the next one.
    """

    def __init__(self, store: Store, shared: Row, retain: int, todo: int, say: Say):
        self.store, self.shared, self.retain, self.todo, self.say = store, shared, retain, todo, say
        self.epochs: dict[str, list[Row]] = defaultdict(list)
        self.unwritten: list[tuple[Row, list[Row]]] = []
        self.done, self.begin = 0, time.perf_counter()

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: Row, **info: Any
    ) -> None:
        del iteration, trials, info
        epochs = self.epochs[trial.trial_id]
        if "epoch" in result and result["epoch"] not in epochs:
            if result["epoch"]["epoch"] == 0:
                epochs.clear()  # a worker died, and the trial has started again
            epochs.append(result["epoch"])

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        del iteration, trials, info
        row = dict(trial.last_result.get("row", {"failure": "ended without a result"}))
        self._ended(trial, row)

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        del iteration, trials, info
        error = str(trial.get_error() or "the worker died").strip().splitlines()[-1]
        self._ended(trial, {"failure": error})

    def on_experiment_end(self, trials: list[Any], **info: Any) -> None:
        del trials, info
        self._write()

    def _ended(self, trial: Any, measured: Row) -> None:
        settings, identity = trial.config["settings"], ("trial_id", "control")
        row = ROW | self.shared | described(settings, self.retain) | measured
        row |= {name: trial.config[name] for name in identity}
        if "failure" in measured:
            row |= {"status": "failed", "reason": measured["failure"]}
        epochs = [
            ROW | epoch | {"trial_id": row["trial_id"]}
            for epoch in self.epochs.pop(trial.trial_id, [])
        ]
        self.unwritten.append((row, epochs))
        self._write()
        self.done += 1
        self.say(
            f"[{self.done}/{self.todo}] {time.perf_counter() - self.begin:4.0f} s  {_line(row)}"
        )

    def _write(self) -> None:
        while self.unwritten:
            row, epochs = self.unwritten[0]
            try:
                self.store.epochs(epochs)
                self.store.trial(row)
            except OSError as error:
                self.say(f"trial {row['trial_id']} is not written yet: {error}")
                return
            self.unwritten.pop(0)


def _line(row: Row) -> str:
    """One trial in one line."""
    what = f"alpha {row['alpha']:.3g}"
    if row["method"] == "sg":
        what += f", reg {row['reg']:.3g}, every {row['solve_every']} steps"
    if row["status"] != "complete":
        return f"trial {row['trial_id']} ({what}) failed: {row['reason']}"
    return (
        f"trial {row['trial_id']} ({what}): val accuracy {row['val_acc']:.3f}, "
        f"val MIA accuracy {row['val_mia_acc']:.3f}, {row['seconds']:.1f} s"
    )
