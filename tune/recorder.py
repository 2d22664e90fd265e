"""The driver's callback that turns what Ray Tune reports into result rows; it never raises."""

# ruff: noqa: ARG002 - the hooks have the signatures of ray.tune.Callback

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from typing import Any

from ray.tune import Callback

from sgu.files.location import Location
from sgu.metrics import against_retrained
from sgu.results.rows import Row, epoch_rows, result_row
from sgu.results.schema import METRICS
from tune import Say
from tune.prepare import Prepared
from tune.spec.errors import last_line
from tune.storage.store import Store

IDENTITY = ("cell", "trial_id", "seed", "control", "phase")
RETRY = 5.0  # seconds until a row that could not be written is tried again
WAIT = 60.0  # seconds for which rows are tried again once no trial is left


def _contained(hook: Callable[..., None]) -> Callable[..., None]:
    """Return a hook that tells its errors to the user: raising them would end the study."""

    @wraps(hook)
    def run(recorder: Recorder, *args: Any, **info: Any) -> None:
        try:
            hook(recorder, *args, **info)
        except Exception as error:
            recorder.tell(f"{hook.__name__}: {type(error).__name__}: {error}")

    return run


class Recorder(Callback):
    """Writes a run's rows when it ends, removes its checkpoint, and prints one line.

    A row that cannot be written (a full disk, say) is kept, and tried again while others run.
    searched: names of the searched settings, by cell; count: runs in all, None if it is not known;
    ended: called with each row.
    """

    def __init__(
        self,
        store: Store,
        prepared: Prepared,
        searched: Mapping[str, Sequence[str]],
        count: int | None,
        say: Say,
        ended: Callable[[Row], object],
    ):
        self.store, self.prepared, self.checkpoints = store, prepared, store.checkpoints()
        self.searched, self.count, self.say, self.ended = searched, count, say, ended
        self.epochs: dict[str, list[Row]] = defaultdict(list)
        self.unwritten: list[tuple[Row, list[Row], Location]] = []
        self.done, self.begin, self.tried = 0, time.perf_counter(), -RETRY

    def tell(self, text: str) -> None:
        try:
            self.say(text)
        except OSError:
            return  # nobody listens any more

    @_contained
    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: Row, **info: Any
    ) -> None:
        if self.unwritten and time.perf_counter() - self.tried > RETRY:
            self._write()
        epochs = self.epochs[trial.trial_id]
        if "epoch" in result and result["epoch"] not in epochs:
            if result["epoch"]["epoch"] == 0:
                epochs.clear()  # a worker died, and the trial has started again
            epochs.append(result["epoch"])

    @_contained
    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        last = trial.last_result
        if "row" in last:
            self._ended(trial, dict(last["row"]))
        else:  # the scheduler has stopped it
            reached = {name: last["epoch"][name] for name in METRICS if name in last["epoch"]}
            seconds = {"wall_seconds": last["time_total_s"], "host": last["hostname"]}
            self._ended(trial, {"status": "pruned"} | seconds | reached)

    @_contained
    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        if not trial.should_recover():  # else the searcher hands it out again
            self._ended(trial, {"failure": last_line(trial.get_error(), "the worker died")})

    @_contained
    def on_experiment_end(self, trials: list[Any], **info: Any) -> None:
        end = time.perf_counter() + WAIT
        self._write()
        while self.unwritten and time.perf_counter() < end:
            time.sleep(1)
            self._write()

    def _ended(self, trial: Any, measured: Row) -> None:
        settings, key = trial.config["settings"], (trial.config["data"], trial.config["seed"])
        identity = {name: trial.config[name] for name in IDENTITY}
        row = result_row(settings, self.prepared.shared[key], measured, **identity)
        row["workers"] = trial.config["workers"] or row["workers"]
        if "failure" in measured:
            row |= {"status": "failed", "reason": measured["failure"]}
        elif row["status"] == "complete":
            row |= against_retrained(row, self.prepared.references[key]["retrain"])
        epochs = epoch_rows(row, self.epochs.pop(trial.trial_id, []), IDENTITY)
        content = row["data_fingerprint"], row["split_digest"]
        checkpoint = self.checkpoints.of(settings, *content)
        self.unwritten.append((row, epochs, checkpoint))
        self._write()
        self.ended(row)
        self.done += 1
        elapsed = time.perf_counter() - self.begin
        self.tell(f"[{self.done}/{self.count}] {elapsed:4.0f} s  {self._line(row)}")

    def _write(self) -> None:
        """Write the rows that wait, in order, until one cannot be written."""
        self.tried = time.perf_counter()
        while self.unwritten:
            row, epochs, checkpoint = self.unwritten[0]
            try:
                self.store.epochs(epochs)
                self.store.trial(row)
            except OSError as error:
                self.tell(f"trial {row['trial_id']} is not written yet: {error}")
                return
            self.unwritten.pop(0)
            checkpoint.remove()

    def _line(self, row: Row) -> str:
        values = [f"{name} {_short(row['config'][name])}" for name in self.searched[row["cell"]]]
        settings = f"{row['method']}, control" if row["control"] else ", ".join(values)
        run = f"{row['cell']} trial {row['trial_id']}, seed {row['seed']} ({settings})"
        if row["status"] != "complete":
            return f"{run} {row['status']}" + (f": {row['reason']}" if row["reason"] else "")
        residual = row.get("val_residual")
        memory = (
            f"val MIA accuracy {row['val_mia_acc']:.3f}"
            if residual is None
            else f"residual memory {100 * residual:.0f} %"
        )
        return f"{run}: val accuracy {row['val_acc']:.3f}, {memory}, {row['seconds']:.1f} s"


def _short(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
