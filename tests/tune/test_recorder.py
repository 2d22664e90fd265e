"""The recorder writes rows as trials end, holds those that cannot be written, and never raises."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from analysis import load_epochs, load_study
from sgu.experiment import Experiment
from sgu.results.rows import Row
from sgu.results.schema import METRICS
from tune.recorder import Recorder
from tune.storage.store import Store

SETTINGS = Experiment.of(epochs=2).settings()
SHARED = {
    "dataset": "embedded", "model": "small_cnn", "data_fingerprint": "0" * 16,
    "split_digest": "0" * 16, "workers": 2,
}  # fmt: skip
METRICS_OF = dict.fromkeys(METRICS, 0.25)


@dataclass
class Trial:
    """A trial as Ray Tune hands it to a callback."""

    trial_id: str
    last_result: dict[str, Any]
    error: Exception | None = None
    retries: int = 0

    @property
    def config(self) -> dict[str, Any]:
        where = {"cell": "embedded/sg", "data": "embedded", "seed": 0}
        return where | {
            "trial_id": self.trial_id, "control": False, "phase": "search", "workers": None,
            "settings": SETTINGS,
        }  # fmt: skip

    def get_error(self) -> Exception | None:
        return self.error

    def should_recover(self) -> bool:
        return self.retries > 0


@pytest.fixture
def recorder_on(trial_row):
    def make(folder: Path, say: Any) -> Recorder:
        key = ("embedded", 0)
        retrained = {"retain_acc": 0.9, "forget_acc": 0.5, "test_acc": 0.5, "mia_acc": 0.5}
        prepared: Any = SimpleNamespace(
            shared={key: SHARED},
            references={key: {"retrain": trial_row("retrain") | retrained}},
        )
        searched = {"embedded/sg": ["alpha"]}
        return Recorder(Store(folder, "small"), prepared, searched, 9, say, list[Row]().append)

    return make


def ended(recorder: Recorder, name: str) -> None:
    trial = Trial(name, {"row": METRICS_OF | {"unsolved": 0, "attempt": 0}})
    for epoch in range(2):
        report = {"epoch": {"epoch": epoch, "solves": 0, "unsolved": 0, "attempt": 0}}
        recorder.on_trial_result(0, [], trial, report)
    recorder.on_trial_complete(0, [], trial)


def test_a_row_is_there_when_its_trial_has_ended(tmp_path, recorder_on):
    messages: list[str] = []
    recorder = recorder_on(tmp_path, messages.append)
    checkpoint = recorder.checkpoints.of(
        SETTINGS, SHARED["data_fingerprint"], SHARED["split_digest"]
    )
    checkpoint.write(b"its last epoch")
    ended(recorder, "0000")
    (row,) = load_study(tmp_path).to_dict("records")
    assert (row["status"], row["workers"], row["trial_id"]) == ("complete", 2, "0000")
    assert len(load_epochs(tmp_path)) == 2
    assert checkpoint.read() is None
    assert messages[0].startswith("[1/9]")


def test_a_trial_that_ray_gave_up_is_a_row_with_its_reason(tmp_path, recorder_on):
    """A run that had retries left gets no row: the searcher hands it out again."""
    recorder = recorder_on(tmp_path, print)
    recorder.on_trial_error(0, [], Trial("0001", {}, RuntimeError("Too early."), retries=3))
    recorder.on_trial_error(
        0, [], Trial("0000", {}, RuntimeError("The worker died.\n  Of old age.\n"))
    )
    (row,) = load_study(tmp_path).to_dict("records")
    assert (row["status"], row["reason"]) == ("failed", "Of old age.")


def test_it_never_raises(tmp_path, recorder_on):
    """A report that it cannot read does not raise, nor does a user who is gone."""

    def gone(_: str) -> None:
        raise BrokenPipeError("nobody listens")

    recorder = recorder_on(tmp_path, gone)
    recorder.on_trial_complete(0, [], Trial("0000", {"row": {"status": "strange"}}))
    recorder.on_trial_complete(0, [], Trial("0001", {}))
    recorder.on_trial_result(0, [], Trial("0002", {}), {"epoch": {}})
    ended(recorder, "0003")
    assert "0003" in set(load_study(tmp_path)["trial_id"])


def test_rows_wait_for_a_disk_that_is_full(small_disk, fill, recorder_on, monkeypatch):
    messages: list[str] = []
    recorder = recorder_on(small_disk, messages.append)
    ended(recorder, "0000")
    filler = fill()
    for name in ("0001", "0002"):
        ended(recorder, name)
    assert list(load_study(small_disk)["trial_id"]) == ["0000"]
    assert any("0001 is not written yet: " in line and "space" in line for line in messages)
    filler.unlink()
    monkeypatch.setattr("tune.recorder.RETRY", 0.0)
    recorder.on_trial_result(0, [], Trial("0003", {}), {})  # any report of any other trial
    assert list(load_study(small_disk)["trial_id"]) == ["0000", "0001", "0002"]
    assert len(load_epochs(small_disk)) == 6


def test_at_the_end_it_waits_for_room(small_disk, fill, recorder_on, monkeypatch):
    recorder = recorder_on(small_disk, print)
    filler = fill()
    ended(recorder, "0000")
    monkeypatch.setattr("time.sleep", lambda _: filler.unlink(missing_ok=True))
    recorder.on_experiment_end([])
    assert list(load_study(small_disk)["trial_id"]) == ["0000"]
