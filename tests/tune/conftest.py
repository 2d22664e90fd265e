"""Rows as the recorder hands them to the store, and a disk without room."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from sgu.experiment import Experiment
from sgu.results.rows import result_row
from sgu.results.schema import METRICS

SHARED = {
    "dataset": "embedded",
    "model": "small_cnn",
    "cell": "embedded/sg",
    "scenario": "random",
    "train_examples": 4000,
    "classes": 10,
    "forgotten_classes": '["cat"]',
    "audit_examples": 800,
    "workers": 2,
    "requests": 1,
    "forget_fraction": 0.1,
    "code_version": "abc",
    "code_dirty": None,
    "data_fingerprint": "0" * 16,
    "split_digest": "1" * 16,
    "original_digest": "2" * 16,
    "device": "cpu",
    "threads": 1,
    "host": "here",
    "versions": {"python": "3.11"},
    "started": datetime(2026, 1, 2, tzinfo=UTC),
    "wall_seconds": 1.5,
    "device_seconds": 0.5,
    "host_class": "x86_64, 2 cores, 24 GiB",
    "unsolved": 0,
    "suppressed": '{"tpr_at_01": "800 non-members are too few"}',
}


@pytest.fixture(scope="session")
def trial_row() -> Callable[..., dict[str, Any]]:
    """Return a maker of complete trials' rows. settings: those that differ from Experiment's."""

    def make(trial_id: str, columns: dict[str, Any] | None = None, **settings: Any):
        measured = dict.fromkeys(METRICS, 0.25) | {"cell": SHARED["cell"]}
        known = Experiment.of(**{"epochs": 5} | settings).settings()
        return result_row(known, SHARED, measured, trial_id=trial_id) | (columns or {})

    return make


@pytest.fixture
def fill(small_disk: Path) -> Callable[[], Path]:
    """Return a function that fills the small disk, and returns the file to delete for room."""

    def write() -> Path:
        filler = small_disk / "filler"
        with filler.open("wb", buffering=0) as file, suppress(OSError):
            while True:
                file.write(bytes(512))
        return filler

    return write
