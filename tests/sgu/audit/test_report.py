"""An audit reports what it was asked, who was forgotten, and who says so."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from typer.testing import CliRunner

from sgu.audit.files import Files
from sgu.audit.findings import Audit, Audited
from sgu.audit.relearn import Relearned
from sgu.audit.report import provenance, written
from sgu.cli import app
from sgu.ensembles.processes import Trainings
from sgu.experiment import Experiment
from sgu.host.provenance import Started
from sgu.models import build, save_model
from sgu.results.null_band import bands
from sgu.task import Task

EXPERIMENT = Experiment.of(subset=400, method="finetune")
METRICS = {"forget_acc": 0.9}
BANDS = bands([{"forget_acc": value} for value in (0.88, 0.89, 0.9)])
AUDITED = Audited(
    metrics=METRICS,
    bands=BANDS,
    attacks=[],
    slices=[],
    relearned=Relearned((4, None, 6)),
    klom=None,
    judgement=None,
    residuals={},
    blind=(),
)
AUDIT = Audit(models={"mine": AUDITED}, seeds={}, notes=[])


@pytest.fixture
def files(tmp_path: Path, task: Task):
    def make(
        splits: pa.Table | None = None, settings: dict[str, Any] | None = None, **changed: Any
    ) -> Files:
        model, stated = build("small_cnn", task.source.shape, 0), tmp_path / "splits.parquet"
        info = {"settings": json.dumps(settings)} if settings else {}
        save_model(tmp_path / "mine.safetensors", model, info)
        if splits is not None:
            pq.write_table(splits, stated)
        own = Experiment.of(**EXPERIMENT.settings() | changed)
        return Files([tmp_path / "mine.safetensors"], own, None if splits is None else stated)

    return make


def forgetting(*indices: int) -> pa.Table:
    return pa.table({"split": ["forget"] * len(indices), "index": list(indices)})


class Report(NamedTuple):
    folder: Path
    rows: list[dict[str, Any]]
    page: str


def report(files: Files, out: Path, oracles: int = 3, shadows: int = 8, threads: int = 1) -> Report:
    task, how = files.task(out / "cache"), Trainings(map, 2, threads)
    source = provenance(files, task, Started(), how, oracles, shadows)
    folder = written(out, AUDIT, files, task, source, "sgu audit")
    rows = pq.read_table(folder / "rows.parquet").to_pylist()
    return Report(folder, rows, (folder / "report.html").read_text())


def test_other_numbers_of_networks_are_another_report(files, tmp_path):
    first, again = (report(files(), tmp_path).folder for _ in range(2))
    assert first == again
    more = report(files(), tmp_path, 10, 64)
    assert more.folder != first
    networks = {"oracles": 10, "shadows": 64, "jobs": 2, "threads": 1}
    assert json.loads(more.rows[0]["config"])["networks"] == networks
    assert "10 oracles, 64 shadow models" in more.page


def test_a_row_says_of_how_many_models_its_band_is(files, tmp_path):
    rows = report(files(), tmp_path).rows
    (metric,) = (row for row in rows if row["kind"] == "metric")
    assert metric["band_models"] == 3
    assert {row["band_models"] for row in rows if row["kind"] != "metric"} == {None}


def test_the_threads_are_those_of_a_training(files, tmp_path, monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: 7)
    _, (row, *_), page = report(files(), tmp_path)
    assert row["threads"] == 1
    assert json.loads(row["config"])["threads"] == 7
    assert "1 for a network trained, 2 at a time; 7 for all else" in page


def test_a_file_that_does_not_say_who_was_forgotten_is_said_to_be_believed(files, tmp_path):
    (note,) = files().notes()
    assert note.startswith("mine: who was forgotten is taken from the options (scenario random, ")
    page = report(files(), tmp_path).page
    assert "scenario random (taken from the options, as the file does not say: mine)" in page
    documented = files(settings=EXPERIMENT.settings())
    assert documented.notes() == []
    assert "taken from the options" not in report(documented, tmp_path).page


def test_who_was_forgotten_is_who_the_file_says(files, tmp_path):
    checked = files(forgetting(5, 17, 3))
    splits = checked.task(tmp_path).splits
    assert checked.notes() == []
    assert splits.forget.tolist() == [3, 5, 17]
    folder, (row, *_), page = report(checked, tmp_path)
    assert row["split_digest"] == splits.digest
    assert (row["scenario"], row["forget_fraction"]) == ("stated", 3 / 400)
    settings = json.loads(row["config"])["audit"]
    assert settings["splits"] == str(checked.splits)
    assert "forget_fraction" not in settings
    assert f"as {checked.splits} states, 1 request(s), 0.8 % of train" in page
    assert row["split_digest"] in page
    assert report(files(forgetting(5, 17, 4)), tmp_path).folder != folder


def test_a_model_that_says_otherwise_is_an_error(files, tmp_path):
    own = EXPERIMENT.settings()
    same = EXPERIMENT.task().splits
    assert files(same.to_table(), own).task(tmp_path).splits.digest == same.digest
    with pytest.raises(ValueError, match="mine says itself who was forgotten"):
        files(forgetting(1, 2), own).task(tmp_path)
    with pytest.raises(ValueError, match="leave --forget, --scenario and the like out"):
        files(forgetting(1, 2), forget_fraction=0.2)


def test_the_command_takes_them(files, tmp_path):
    """And names an example that is not there, before anything is trained."""
    checked = files(forgetting(400))
    words = ["audit", str(checked.paths[0]), "--subset", "400", "--splits", str(checked.splits)]
    places = ["--cache", str(tmp_path / "cache"), "--out", str(tmp_path / "out")]
    result = CliRunner().invoke(app, [*words, *places])
    assert result.exit_code == 2, result.output
    assert "forget has index 400: must be 0..399" in result.output
    assert result.output.count("\n") == 1
