"""Small versions of the shipped studies of other scenarios and methods, from spec to rows."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from analysis import load_epochs, load_study
from sgu.experiment import Experiment
from sgu.unlearning import unlearn
from tune.cli import app
from tune.spec.spec import Spec
from tune.study import run

ROOT = Path(__file__).parents[2]
SMALL = ["subset=400", "pretrain_epochs=1", "epochs=2"]
LEARNT = ["subset=1200", "pretrain_epochs=6", "epochs=2"]  # enough to know a class

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def results(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("results")


def ran(results: Path, name: str, settings: list[str]):
    """Run a shipped study, and return its rows by trial and its rows of epochs."""
    small = ["trials=1", "slots=1", "oracles=0", "objectives=[val_error, val_mia_advantage]"]
    small += [f"experiment.{setting}" for setting in settings]
    changes = [word for change in small for word in ("--set", change)]
    words = ["run", str(ROOT / f"studies/{name}.yaml"), *changes, "--results", str(results)]
    ended = CliRunner().invoke(app, words)
    assert ended.exit_code == 0, ended.output
    folder = results / name
    return load_study(folder).set_index("trial_id"), load_epochs(folder)


def test_whole_classes_are_forgotten_from_a_spec(results):
    rows, _ = ran(results, "class", LEARNT)
    assert (rows["status"] == "complete").all(), rows["reason"].tolist()
    assert (rows["scenario"] == "class").all()
    assert rows["forget_fraction"].unique().tolist() == [0.2]  # two of ten classes
    assert rows.loc["retrain", "forget_acc"] == 0  # it knows neither class
    assert rows.loc["original", "forget_acc"] > 0.5
    assert rows.loc["0001", "method"] == "sg"
    assert rows.loc["0001", "forget_acc"] < rows.loc["original", "forget_acc"]


def test_requests_are_met_one_after_the_other_from_a_spec(results):
    rows, epochs = ran(results, "sequential", SMALL)
    assert (rows["status"] == "complete").all(), rows["reason"].tolist()
    assert (rows["requests"] == 3).all()
    assert rows["forget_fraction"].unique().tolist() == [0.1]
    for trial in ("0000", "0001"):  # three requests of two epochs each
        assert sorted(epochs.loc[epochs["trial_id"] == trial, "epoch"]) == list(range(6))
    last = epochs[(epochs["trial_id"] == "0001") & (epochs["epoch"] == 5)]
    assert last["val_mia_acc"].item() == rows.loc["0001", "val_mia_acc"]  # of all forgotten


def test_all_methods_start_from_a_network_and_a_list_of_ones_own(results):
    """What the product would train and forget itself, by file: the same rows, to the last digit."""
    own = Experiment(subset=400, pretrain_epochs=2)
    task = own.task(results / "cache")
    weights = own.reference("original", task, results / "cache").model.state_dict()
    torch.save({f"module.{k}": v.cpu() for k, v in weights.items()}, results / "mine.pt")
    (results / "forget.csv").write_text("\n".join(map(str, task.splits.forget.tolist())))
    files = {"original": str(results / "mine.pt"), "forget": str(results / "forget.csv")}
    settings = {"subset": 400, "pretrain_epochs": 2, "epochs": 1} | files
    content = {"name": "own", "experiment": settings, "methods": ["scrub", "sg"], "trials": 1}
    content |= {"oracles": 0, "slots": 1, "sampler": "random"}
    run(Spec.model_validate(content), results, None, print)
    frame = load_study(results / "own")
    assert (frame["status"] == "complete").all(), frame["reason"].tolist()
    assert set(frame["scenario"]) == {"stated"}
    trials = frame[frame["cell"].isin(["embedded/scrub", "embedded/sg"])]
    assert set(trials["method"]) == {"scrub", "finetune", "sg"}
    original = own.reference("original", task, results / "cache").model
    for row in trials.to_dict("records"):
        experiment = replace(Experiment.of(**json.loads(row["config"])), original=None, forget=None)
        wanted = unlearn(experiment, task, original).metrics
        for metric in ("retain_acc", "forget_acc", "val_acc", "test_acc", "mia_auc"):
            assert row[metric] == wanted[metric], (row["method"], metric)
