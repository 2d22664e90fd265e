"""Rows come back as they were written, and nothing of an interrupted write is read."""

from __future__ import annotations

import json
import math
import os
import signal
import struct
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest

from analysis import load_epochs, load_histograms, load_study
from sgu.data.splits.splits import Splits
from sgu.experiment import Experiment
from sgu.results.schema import EPOCHS, SCHEMA_VERSION, TRIALS
from tune.storage.store import Store

ROOT = Path(__file__).parents[3]


@pytest.fixture
def store(tmp_path) -> Store:
    return Store(tmp_path / "small", "small")


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def curve(trial_id: str, epochs: int = 3) -> list[dict]:
    row = {"trial_id": trial_id, "attempt": 0, "solves": 2, "utility": -1.0, "train_loss": 0.5}
    return [row | {"epoch": epoch, "val_acc": epoch / 10} for epoch in range(epochs)]


def test_rows_come_back_as_they_were(store, trial_row):
    written = trial_row("0001", {"val_acc": 0.1 + 0.2, "seconds": 1e-9}, alpha=0.3, reg=1e-3)
    store.trial(written)
    (row,) = load_study(store.folder).to_dict("records")
    for name in set(TRIALS.names) - {"config", "versions", "code_dirty", "reason"}:
        stamped = {"schema_version": SCHEMA_VERSION, "study": "small"}
        expected = written[name] if name in written else stamped[name]
        assert row[name] == expected, name
    assert pd.isna(row["reason"])
    assert pd.isna(row["code_dirty"])
    assert Experiment.of(**json.loads(row["config"])) == Experiment.of(
        alpha=0.3, reg=1e-3, epochs=5
    )


def test_histograms_of_losses_come_back(store, trial_row):
    bins = [{"split": split, "low": 0.1, "high": 0.5, "count": 7} for split in ("forget", "val")]
    for number in ("0", "1"):
        store.trial(trial_row(number, {"histograms": bins}))
    store.compact()
    histograms = load_histograms(store.folder)
    assert list(histograms["trial_id"]) == ["0", "0", "1", "1"]
    assert histograms[["split", "low", "high", "count"]].to_dict("records") == bins * 2
    assert "losses" not in load_study(store.folder)


def test_a_game_played_each_epoch_has_the_steps_its_trial_reports(store, trial_row):
    store.trial(trial_row("0", {"solve_every": 3}, solve_every="epoch"))
    store.trial(trial_row("1", solve_every=5, update="alternate"))
    store.trial(trial_row("2", solve_every=5))
    store.trial(trial_row("3", method="finetune"))
    steps = load_study(store.folder)["solve_every"]
    assert [steps[0], steps[2]] == [3, 5]
    assert math.isnan(steps[1])
    assert math.isnan(steps[3])
    assert list(load_study(store.folder)["alpha"]) == [1, 1, 1, 0]


def test_a_value_that_is_no_number_is_null(store, trial_row):
    store.trial(trial_row("0001", {"ks": math.nan, "seconds": None, "val_acc": math.inf}))
    (path,) = (store.folder / "trials").iterdir()
    table = pq.read_table(path)
    assert table["ks"].null_count == table["seconds"].null_count == 1
    assert table["val_acc"].to_pylist() == [math.inf]
    assert table.schema == TRIALS


def test_epochs_come_back(store):
    store.epochs(curve("0001"))
    store.epochs([])
    epochs = load_epochs(store.folder)
    assert list(epochs.columns) == EPOCHS.names
    assert list(epochs["epoch"]) == [0, 1, 2]
    assert list(epochs["val_acc"]) == [0.0, 0.1, 0.2]


def test_splits_come_back(store, task):
    store.splits(task.splits.digest, task.splits.to_table())
    table = pq.read_table(store.folder / "splits" / f"{task.splits.digest}.parquet")
    assert Splits.from_table(table).digest == task.splits.digest


def test_nothing_unfinished_is_left(store, trial_row):
    for number in range(3):
        store.trial(trial_row(f"{number:04d}"))
        store.epochs(curve(f"{number:04d}"))
    assert len(names(store.folder)) == 6
    assert not [name for name in names(store.folder) if name.startswith("_")]


def test_packing_keeps_every_row_again_and_again(store, trial_row):
    """A study may go on after packing."""
    numbers = []
    for number in range(4):
        numbers.append(f"{number:04d}")
        store.trial(trial_row(numbers[-1]))
        store.epochs(curve(numbers[-1]))
        before = load_study(store.folder), load_epochs(store.folder)
        if number != 1:
            store.compact()
            assert len(names(store.folder)) == 2
        assert load_study(store.folder).equals(before[0])
        assert load_epochs(store.folder).equals(before[1])
        assert list(load_study(store.folder)["trial_id"]) == numbers


def test_an_interrupted_packing_counts_no_row_twice(store, trial_row):
    for number in range(2):
        store.trial(trial_row(f"{number:04d}"))
    unpacked = {path: path.read_bytes() for path in (store.folder / "trials").iterdir()}
    store.compact()
    for path, content in unpacked.items():
        path.write_bytes(content)  # as if killed before they were removed
    assert list(load_study(store.folder)["trial_id"]) == ["0000", "0001"]
    store.compact()
    assert list(load_study(store.folder)["trial_id"]) == ["0000", "0001"]


def test_a_changed_value_is_named_and_never_packed(store, trial_row):
    """Only a file's checksum can tell: the other accuracy would be read without an error."""
    for seed in range(3):
        store.trial(trial_row("a", {"seed": seed, "val_acc": 0.71828}))
    damaged = sorted((store.folder / "trials").iterdir())[0]
    written, changed = (struct.pack("<d", value) for value in (0.71828, 0.91828))
    assert written in damaged.read_bytes()
    damaged.write_bytes(damaged.read_bytes().replace(written, changed))
    store.compact()
    assert damaged.exists()
    with pytest.warns(UserWarning, match=f"{damaged.name} is set aside: "):
        frame = load_study(store.folder)
    assert list(frame["val_acc"]) == [0.71828] * 2


def test_a_half_written_file_is_ignored(store, trial_row, recwarn):
    store.trial(trial_row("0000"))
    (path,) = (store.folder / "trials").iterdir()
    whole = path.read_bytes()
    path.with_name("_host-1-2_embedded-sg-0001.parquet").write_bytes(whole[: len(whole) // 2])
    assert list(load_study(store.folder)["trial_id"]) == ["0000"]
    store.compact()
    assert list(load_study(store.folder)["trial_id"]) == ["0000"]
    store.trial(trial_row("0001"))  # beside the unfinished file
    assert list(load_study(store.folder)["trial_id"]) == ["0000", "0001"]
    assert not recwarn.list


@pytest.mark.parametrize("data", ["_shapes", ".hidden", "x" * 250, "a\tb\x1b[31m", "../up", "é"])
def test_rows_are_read_whatever_the_data_are_called(store, trial_row, data):
    for number in ("0000", "0001"):
        store.trial(trial_row(number, {"cell": f"{data}/sg"}))
    for _ in range(2):
        assert list(load_study(store.folder)["cell"]) == [f"{data}/sg"] * 2
        store.compact()


def test_no_two_rows_share_a_file(store, trial_row):
    """Read aloud, these cells, trials and seeds all sound alike."""
    for cell, number in (("a-b/sg", "1"), ("a/b-sg", "1"), ("a/b/sg", "1"), ("a/b", "sg-1")):
        store.trial(trial_row(number, {"cell": cell}))
    assert len(load_study(store.folder)) == 4


WRITER = """
import sys
from pathlib import Path
from tune.storage.store import Store

store, number = Store(Path(sys.argv[1]), "small"), 0
while True:
    store.trial({"trial_id": f"{number:04d}", "attempt": 0, "status": "complete"})
    print(number, flush=True)
    number += 1
"""


def test_a_killed_writer_leaves_whole_rows(store, recwarn):
    """It is killed while it writes as fast as it can: each row it reported is there and whole."""
    command = [sys.executable, "-c", WRITER, str(store.folder)]
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env) as writer:
        assert writer.stdout is not None
        for _ in range(60):
            writer.stdout.readline()
        writer.send_signal(signal.SIGKILL)
        reported = 60 + len(writer.stdout.read().split())
    rows = load_study(store.folder)
    assert len(rows) in (reported, reported + 1)
    assert not recwarn.list
