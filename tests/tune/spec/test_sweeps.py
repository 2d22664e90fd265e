"""Scaling studies: their cells, the data of each size, and a small one that is run."""

from __future__ import annotations

import pytest
import torch
from typer.testing import CliRunner

from analysis import load_study
from sgu.data.sources import load_source
from sgu.experiment import Experiment
from sgu.files.errors import DataError
from sgu.results.schema import REFERENCES
from tune.cli import app
from tune.search.searcher import StudySearch
from tune.spec.errors import SpecError
from tune.spec.sweeps import SWEEPS, scaled, sweeps_of
from tune.storage.store import Store
from tune.storage.study_folder import rows_of

SMALL = ["experiment.subset=200", "experiment.pretrain_epochs=1", "experiment.epochs=1"]


def test_each_size_is_a_cell_without_a_search():
    spec = scaled(SWEEPS)
    assert len(spec.cells) == sum(map(len, SWEEPS.values()))
    sizes = {cell.data: cell.base for cell in spec.cells}
    assert sizes["subset-500"].subset == 500
    assert sizes["classes-2"].classes == 2
    assert sizes["audit-100"].audit == 100
    assert sizes["forget_fraction-0.4"].forget_fraction == 0.4
    assert {cell.workers for cell in spec.cells} == {None, 1, 2}
    assert {cell.trials for cell in spec.cells} == {0}


def test_sweeps_are_read_from_words():
    assert sweeps_of([]) == SWEEPS
    assert sweeps_of(["subset=20,40", "forget_fraction=0.5"]) == {
        "subset": ("20", "40"),
        "forget_fraction": ("0.5",),
    }  # as texts, which the settings' types decide
    assert scaled(sweeps_of(["subset=200"])).cells[0].base.subset == 200
    for wrong in ("subset", "size=3", "subset="):
        with pytest.raises(SpecError, match="expected KIND=VALUE"):
            sweeps_of([wrong])
    with pytest.raises(SpecError, match="subset = 0"):
        scaled({"subset": (0,)})


def test_some_classes_and_a_smaller_audit():
    whole, source = load_source("embedded"), load_source("embedded", 300, 3)
    assert (source.classes, len(source.train)) == (whole.classes[:3], 300)
    assert source.train.targets.bincount().tolist() == [100, 100, 100]
    with pytest.raises(DataError, match="has 10"):
        load_source("embedded", classes=11)
    full, fewer = (Experiment(subset=400, audit=audit).task().splits for audit in (None, 30))
    assert set(fewer.audit.tolist()) < set(full.audit.tolist())
    targets = load_source("embedded", 400).heldout.targets
    assert targets[fewer.audit].bincount().tolist() == [3] * 10
    for part in ("retain", "forget", "val", "test"):
        assert torch.equal(getattr(full, part), getattr(fewer, part))


def test_a_cell_with_workers_of_its_own_is_alone(tmp_path):
    spec = scaled({"subset": (200,), "workers": (1, 2)}, ["seeds=2"])
    Store(tmp_path, spec.name)
    search = StudySearch(spec, tmp_path, rows_of(tmp_path), {})
    under_way: dict[str, list[str]] = {}
    number, ended, most = 0, 0, {"subset-200/sg": 0, "workers-1/sg": 0, "workers-2/sg": 0}
    while True:
        proposal = search.suggest(str(number))
        if isinstance(proposal, dict):
            under_way.setdefault(proposal["cell"], []).append(str(number))
            number += 1
            for cell, names in under_way.items():
                most[cell] = max(most[cell], len(names))
            assert len(under_way) == 1 or not {"workers-1/sg", "workers-2/sg"} & set(under_way)
        elif under_way:  # no room, or all handed out: the first of them ends
            cell = next(iter(under_way))
            search.on_trial_complete(under_way[cell].pop(0), {"row/val_error": 0.5})
            under_way = {name: names for name, names in under_way.items() if names}
            ended += 1
        else:
            break
    assert ended == number == 3 * 2 * 2  # sizes, controls, seeds
    assert most == {"subset-200/sg": 4, "workers-1/sg": 1, "workers-2/sg": 2}


@pytest.mark.long
def test_a_scaling_study_compares_with_retraining_at_every_size(tmp_path):
    words = ["scaling", "--results", str(tmp_path), "--sweep", "subset=300"]
    words += ["--sweep", "workers=1", *(word for change in SMALL for word in ("--set", change))]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    frame = load_study(tmp_path / "scaling")
    assert set(frame["phase"]) == {"scaling"}
    assert frame["seconds"].gt(0).all()
    by_size = frame.groupby(["dataset", "train_examples"])["method"].apply(set)
    sizes = {"subset-300": 300, "workers-1": 200}
    assert dict(by_size.index.tolist()) == sizes
    for methods in by_size:
        assert methods == {*REFERENCES, "finetune", "sg"}
    assert set(frame.loc[frame["cell"] == "workers-1/sg", "workers"]) == {1}
    again = CliRunner().invoke(app, words)
    assert "all trials are there" in again.output
    status = CliRunner().invoke(app, ["status", "scaling", "--results", str(tmp_path)])
    assert "subset-300/sg: 2 of 2 runs" in status.output
