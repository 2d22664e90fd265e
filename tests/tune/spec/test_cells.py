"""Studies of several cells and seeds in a real Ray: prepare, search, halve, confirm."""

from __future__ import annotations

from pathlib import Path

import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from typer.testing import CliRunner

from analysis import load_study, null_bands, pareto_front
from tune.cli import app
from tune.search.journal import Journal
from tune.spec.spec import Spec
from tune.storage.study_folder import StudyFolder, rows_of
from tune.study import confirm, run

pytestmark = pytest.mark.long
SMALL = {"subset": 400, "pretrain_epochs": 1, "epochs": 1}
CELLS = ["embedded/sg", "embedded/scrub"]
SPEC = {
    "name": "cells",
    "methods": ["sg", "scrub"],
    "experiment": SMALL,
    "seeds": 2,
    "trials": 2,
    "oracles": 1,
    "shadows": 4,
    "constraints": {"val_error": {"at_most": 0.05, "above": "original"}},
    "slots": 1,
}


@pytest.fixture(scope="module")
def results(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("results")


@pytest.fixture(scope="module")
def messages(results) -> list[str]:
    """Return what a study printed while it ran and was confirmed."""
    lines: list[str] = []
    run(Spec.model_validate(SPEC), results, None, lines.append)
    confirm("cells", 1, results, None, lines.append)
    return lines


@pytest.fixture(scope="module")
def frame(messages, results):
    assert messages
    return load_study(results / "cells")


def searched(frame):
    return frame[(frame["phase"] == "search") & frame["cell"].isin(CELLS)]


def test_every_cell_has_its_trials_and_controls_with_every_seed(frame):
    assert (frame["status"] == "complete").all(), frame["reason"].tolist()
    seeds = searched(frame).groupby(["cell", "trial_id"])["seed"].apply(list)
    assert set(map(tuple, seeds)) == {(0, 1)}
    assert [sum(name == cell for name, _ in seeds.index) for cell in CELLS] == [4, 3]
    controls = searched(frame)[searched(frame)["control"].astype(bool)]
    assert set(zip(controls["cell"], controls["method"], strict=True)) == {
        ("embedded/sg", "finetune"), ("embedded/sg", "sg"), ("embedded/scrub", "scrub")
    }  # fmt: skip


def test_references_are_there_once_for_each_seed(frame, messages):
    references = frame[frame["cell"] == "embedded"]
    names = ["original", "retrain", "retrain-1"]
    assert references.groupby("seed")["trial_id"].apply(sorted).to_dict() == {
        0: names, 1: names, 2: names
    }  # fmt: skip
    assert references.groupby("seed")["phase"].first().to_dict() == {
        0: "search", 1: "search", 2: "confirm"
    }  # fmt: skip
    digests = references.groupby("trial_id")["original_digest"].nunique()
    assert (digests == 3).all()
    assert sum("preparing 14 networks" in line for line in messages) == 1  # of two seeds
    assert sum("preparing 7 networks" in line for line in messages) == 1  # of the third


def test_every_trial_started_from_the_original_of_its_own_seed(frame):
    trials = frame[frame["cell"] != "embedded"].groupby("seed")["original_digest"].unique()
    originals = frame[frame["trial_id"] == "original"].set_index("seed")["original_digest"]
    assert {seed: list(digests) for seed, digests in trials.items()} == {
        seed: [digest] for seed, digest in originals.items()
    }


def test_shadow_attacks_are_in_every_row_and_have_a_band(frame):
    attacks = ["rmia_auc", "lira_auc"]
    for name in attacks:
        assert frame[name].between(0, 1).all()
    assert set(attacks) <= set(null_bands(frame)["metric"])


def test_a_retrained_model_is_compared_with_another(frame):
    gaps = frame.groupby("trial_id")[["avg_gap", "tow"]]
    assert gaps.count().loc["retrain"].tolist() == [0, 0]
    assert gaps.count().loc["retrain-1"].tolist() == [3, 3]
    assert (gaps.max().loc["retrain-1"] < [0.5, 1.0]).all()


def test_optuna_has_a_study_for_each_cell_with_means_and_constraints(frame, results):
    storage = JournalStorage(JournalFileBackend(str(results / "cells" / "optuna.journal")))
    original = frame[frame["trial_id"] == "original"].set_index("seed")["val_error"]
    for cell in CELLS:
        study = optuna.load_study(study_name=cell, storage=storage)
        trials = searched(frame)[searched(frame)["cell"] == cell]
        means = trials.groupby("trial_id")[["val_error", "val_mia_advantage"]].mean()
        assert len(study.trials) == 2
        for trial in study.trials:
            expected = means.loc[trial.user_attrs["trial_id"]]
            assert trial.values == pytest.approx(expected.tolist())
            rise = expected["val_error"] - original[[0, 1]].mean()
            assert trial.constraints == {"val_error": pytest.approx(rise - 0.05)}


def test_the_front_is_confirmed_on_a_seed_that_chose_nothing(frame, messages, results):
    confirmed = frame[(frame["phase"] == "confirm") & frame["cell"].isin(CELLS)]
    assert set(confirmed["seed"]) == {2}
    for cell in CELLS:
        front = pareto_front(searched(frame)[searched(frame)["cell"] == cell])
        assert set(confirmed.loc[confirmed["cell"] == cell, "trial_id"]) == set(front["trial_id"])
    for _, row in confirmed.iterrows():
        same = searched(frame).query("cell == @row.cell and trial_id == @row.trial_id")
        assert set(same["alpha"].dropna()) == ({row["alpha"]} if row["alpha"] >= 0 else set())
    confirm("cells", 1, results, None, messages.append)
    assert "is confirmed on 1 seeds" in messages[-1]
    run(Spec.model_validate(SPEC), results, None, messages.append)
    assert "all trials are there" in messages[-1]


def test_a_study_in_a_bucket_is_halved_as_it_runs(bucket, tmp_path, monkeypatch):
    """The two objectives agree, so the worse half is beaten in both; runs come one at a time."""
    monkeypatch.setenv("SGU_DATA", str(tmp_path))
    content = {
        "name": "halved",
        "experiment": SMALL | {"epochs": 3},
        "search": {"lr": {"low": 0.001, "high": 0.3, "log": True}},
        "objectives": ["val_error", "val_acc"],
        "scheduler": {"asha": {"factor": 2}},
        "sampler": "random",
        "trials": 6,
        "oracles": 0,
        "slots": 1,
    }
    study, lines = StudyFolder(bucket("halved"), "halved"), list[str]()
    run(Spec.model_validate(content), study.results, None, lines.append)
    frame = rows_of(study.address).set_index("trial_id")
    assert set(frame["status"]) == {"complete", "pruned"}, frame["reason"].tolist()
    pruned = frame[frame["status"] == "pruned"]
    assert not pruned["control"].astype(bool).any()
    assert pruned["val_error"].notna().all()
    assert pruned["test_acc"].isna().all()
    assert not set(pareto_front(frame.reset_index(), ["val_error", "val_acc"])["trial_id"]) & set(
        pruned.index
    )
    storage = JournalStorage(Journal.stored(study.files))
    trials = optuna.load_study(study_name="embedded/sg", storage=storage).trials
    states = {trial.user_attrs["trial_id"]: trial.state.name.lower() for trial in trials}
    assert states == frame.loc[list(states), "status"].to_dict()
    assert {name.split(".")[-1] for name in study.cache.shared.names()} == {"safetensors"}
    run(Spec.model_validate(content), study.results, None, lines.append)
    assert "all trials are there" in lines[-1]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("data=no/such/folder", "no/such/folder: no such folder or source"),
        ("experiment.subset=3", "subset of 3 needs"),
        ("storage=/proc/here", "storage = '/proc/here': cannot be written to"),
    ],
)
@pytest.mark.parametrize("word", ["run", "check"])
def test_before_ray_starts_data_and_storage_are_looked_at(
    tmp_path, monkeypatch, word, change, message
):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "broken.yaml"
    path.write_text("name: broken\ntrials: 2\n")
    result = CliRunner().invoke(app, [word, str(path), "--set", change])
    assert (result.exit_code, result.output.count("\n")) == (2, 1), result.output
    assert result.output.startswith("sgu-study: ")
    assert message in result.output
    assert not (tmp_path / "results" / "broken").exists()


def test_the_plan_is_printed_with_the_time_of_a_probe(tmp_path):
    path = tmp_path / "planned.yaml"
    path.write_text(
        "name: planned\ntrials: 3\nseeds: 2\nmethods: [sg, ssd]\noracles: 2\n"
        "experiment: {subset: 400, pretrain_epochs: 2, epochs: 2}\n"
    )
    result = CliRunner().invoke(app, ["check", str(path), "--results", str(tmp_path / "r")])
    assert result.exit_code == 0, result.output
    for text in (
        "2 cells, seeds 0 to 1", "embedded/sg: 3 trials", "embedded/ssd: 3 trials",
        "ssd as published", "finetune alone (alpha = 0)", "networks: 8", "0 of them in the cache",
        "writable", "a run of embedded/sg takes about", "expected: ",
    ):  # fmt: skip
        assert text in result.output
    assert not (tmp_path / "r" / "planned").exists()
