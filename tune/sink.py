"""From what Ray Tune reports to result rows: the driver's callback, which never raises."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable
from typing import Any

from ray.tune import Callback

from sgu.metrics import against_retrained
from sgu.rows import ROW, Row, cell, described
from tune.store import Store

Say = Callable[[str], None]


class Sink(Callback):
    """Writes a trial's rows when it ends, and says so in one line.

    A row that cannot be written (a full disk, say) is kept and tried again with the next one.
    """

    def __init__(
        self, store: Store, shared: Row, retrained: Row, searched: list[str], todo: int, say: Say
    ):
        self.store, self.shared, self.retrained = store, shared, retrained
        self.searched, self.todo, self.say = searched, todo, say
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
        row = ROW | self.shared | described(settings) | measured
        row |= {name: trial.config[name] for name in identity}
        row["cell"] = cell(row["dataset"], row["method"])
        if "failure" in measured:
            row |= {"status": "failed", "reason": measured["failure"]}
        else:
            row |= against_retrained(row, self.retrained)
        epochs = [
            ROW | epoch | {name: row[name] for name in ("cell", "trial_id", "seed")}
            for epoch in self.epochs.pop(trial.trial_id, [])
        ]
        self.unwritten.append((row, epochs))
        self._write()
        self.done += 1
        elapsed = time.perf_counter() - self.begin
        self.say(f"[{self.done}/{self.todo}] {elapsed:4.0f} s  {self._line(row)}")

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

    def _line(self, row: Row) -> str:
        """One trial in one line."""
        values = [f"{name} {_short(row['config'][name])}" for name in self.searched]
        what = f"{row['method']}, control" if row["control"] else ", ".join(values)
        if row["status"] != "complete":
            return f"trial {row['trial_id']} ({what}) failed: {row['reason']}"
        return (
            f"trial {row['trial_id']} ({what}): val accuracy {row['val_acc']:.3f}, "
            f"val MIA accuracy {row['val_mia_acc']:.3f}, {row['seconds']:.1f} s"
        )


def _short(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
