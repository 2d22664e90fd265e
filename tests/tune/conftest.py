"""Rows as the sink hands them to the store."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from analysis.schema import METRICS
from sgu.experiment import Experiment
from sgu.rows import ROW, described

SHARED = {
    "dataset": "embedded",
    "model": "small_cnn",
    "cell": "embedded/sg",
    "scenario": "random",
    "train_examples": 4000,
    "classes": 10,
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
    """A complete trial's row; settings: what differs from the defaults of Experiment."""

    def make(trial_id: str, columns: dict[str, Any] | None = None, **settings: Any):
        row = ROW | SHARED | described(Experiment.of(**{"epochs": 5} | settings).settings())
        row |= dict.fromkeys(METRICS, 0.25) | {"trial_id": trial_id, "control": False}
        return row | (columns or {})

    return make


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 256 KiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(disk)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("needs the right to mount")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)
