"""The comparison: each method as published or as told, in rows that outlive a stop."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import fields
from pathlib import Path

import pytest
from typer.testing import CliRunner

from analysis import load_study
from sgu.cli import app
from sgu.compare import experiments_of
from sgu.experiment import Experiment
from sgu.methods import METHODS, method_class
from sgu.models import build, save_model
from sgu.results.schema import METRICS, SCHEMA_VERSION

WORDS = ["--subset", "200", "--pretrain-epochs", "1", "--set", "audit_batch=40"]
WORDS += ["--set", "solve_every=2", "--set", "epochs=1"]


def compared(folder: Path, *words: str):
    places = ["--out", str(folder / "out"), "--cache", str(folder / "cache")]
    result = CliRunner().invoke(app, ["compare", *WORDS, *words, *places])
    assert result.exit_code == 0, result.output
    return result


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("compare")


@pytest.fixture(scope="module")
def result(folder):
    return compared(folder, "--methods", "finetune, sg")


def test_every_run_is_a_row_that_analysis_reads(folder, result):
    frame = load_study(folder / "out")
    methods = ["finetune", "original", "retrain", "sg"]
    assert sorted(frame["method"].value_counts().items()) == [(name, 2) for name in methods]
    assert sorted(frame["seed"]) == [0] * 4 + [1] * 4
    assert len(result.stderr.splitlines()) == len(frame)
    assert (frame["status"] == "complete").all()
    of_methods = ("game_seconds", "solve_seconds", "examples_seen")
    gaps = ["avg_gap", "tow"]
    quantities = [name for name in METRICS if name not in (*of_methods, *gaps)]
    assert frame[gaps].isna().all(axis=1).equals(frame["method"] == "retrain")
    assert frame[gaps].notna().all(axis=1).equals(frame["method"] != "retrain")
    assert frame[[name for name in quantities if frame[name].notna().any()]].notna().all().all()
    assert set(frame["schema_version"]) == {SCHEMA_VERSION}
    assert set(frame["control"]) == {True, False}


def test_the_table_has_mean_and_deviation_of_the_seeds(folder, result):
    frame = load_study(folder / "out").set_index("method")
    for method, line in zip(frame.index.unique(), result.stdout.splitlines()[1:5], strict=True):
        percent = 100 * frame.loc[method, "val_acc"]
        assert line.split()[0] in frame.index
        assert f"{percent.mean():.1f} ±{percent.std():.1f}" in result.stdout


def test_a_second_run_measures_nothing_and_says_the_same(folder, result):
    again = compared(folder, "--methods", "finetune,sg")
    assert (again.stderr, again.stdout) == ("", result.stdout)
    (lost,) = (folder / "out" / "trials").glob("sg-seed1-*.parquet")
    before = load_study(folder / "out").set_index("trial_id").loc[lost.stem]
    lost.unlink()
    again = compared(folder, "--methods", "finetune,sg")
    assert [line.split(":")[0] for line in again.stderr.splitlines()] == [lost.stem]
    after = load_study(folder / "out").set_index("trial_id").loc[lost.stem]
    same = [name for name in METRICS if "seconds" not in name and name != "peak_memory"]
    assert after[same].equals(before[same])


@pytest.mark.usefixtures("result")
def test_other_settings_are_other_rows(folder):
    before = load_study(folder / "out")
    compared(folder, "--methods", "sg", "--seeds", "1", "--set", "reg=0.5")
    frame = load_study(folder / "out")
    added = frame[~frame["trial_id"].isin(before["trial_id"])]
    assert added[["method", "seed", "reg"]].to_numpy().tolist() == [["sg", 0, 0.5]]


@pytest.mark.usefixtures("result")
def test_methods_start_from_a_network_and_a_list_of_ones_own(folder, tmp_path):
    """Those of the command itself, by file: the same numbers; another file is another row."""
    task = Experiment(subset=200).task(folder / "cache")
    (tmp_path / "forget.txt").write_text("\n".join(map(str, task.splits.forget.tolist())))
    kept = Experiment(subset=200, pretrain_epochs=1).recipe("original", task).filename
    mine = shutil.copy(folder / "cache" / kept, tmp_path / "mine.safetensors")
    words = ["--methods", "finetune", "--seeds", "1", "--original", str(mine)]
    words += ["--forget", str(tmp_path / "forget.txt")]
    (tmp_path / "cache").symlink_to(folder / "cache")
    compared(tmp_path, *words)
    before = load_study(folder / "out").query("seed == 0").set_index("method")
    rows = load_study(tmp_path / "out").set_index("method")
    for method in ("original", "retrain", "finetune"):
        for name in ("forget_acc", "val_acc", "test_acc", "mia_auc"):
            assert rows.loc[method, name] == before.loc[method, name], (method, name)
    save_model(mine, build("small_cnn", task.source.shape, 5), {})  # under the same name
    again = compared(tmp_path, *words)
    assert len(again.stderr.splitlines()) == 3  # nothing is taken from the rows of before


@pytest.mark.usefixtures("result")
def test_a_run_that_fails_is_a_row_and_a_line(folder, tmp_path: Path):
    (tmp_path / "cache").symlink_to(folder / "cache")
    words = [
        "--methods",
        "sg",
        "--seeds",
        "1",
        "--set",
        "lr=1e9",
    ]
    places = ["--out", str(tmp_path / "out"), "--cache", str(tmp_path / "cache")]
    result = CliRunner().invoke(app, ["compare", *WORDS[:4], *words, *places])  # of 5 epochs
    assert list(load_study(tmp_path / "out")["status"]) == ["complete", "complete", "failed"]
    assert re.search(r"^sg-seed0-\w+ failed: Diverged: ", result.stdout, re.M)


def test_a_method_takes_the_settings_that_it_has():
    told = {"epochs": 3, "temperature": 2.0, "alpha": 0.5, "seed": 4}
    for experiment in experiments_of([*METHODS, "sg+fisher"], told):
        settings = experiment.settings()
        published = {field.name: field.default for field in fields(method_class(experiment.method))}
        trains = published["epochs"] > 0 or experiment.method == "sg+fisher"
        expected = Experiment().settings() | published | {"method": experiment.method}
        expected |= {name: told[name] for name in told if name in expected}
        assert settings == expected | {"epochs": 3 if trains else 0}


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--methods", "finetune,scrubb"], "method = 'scrubb': must be one of"),
        (["--seeds", "0"], "seeds = 0: must be >= 1"),
        (["--data", "nowhere"], "nowhere"),
        (["--set", "alpha"], "expected KEY=VALUE"),
        (["--set", "alhpa=1"], "no method has a setting 'alhpa'"),
    ],
    ids=str,
)
def test_what_is_wrong_is_one_line(words, reason, tmp_path: Path):
    result = CliRunner().invoke(app, ["compare", *words, "--out", str(tmp_path / "out")])
    assert result.exit_code == 2
    assert reason in result.output
    assert result.output.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_every_method_is_listed_with_its_settings():
    listed = json.loads(CliRunner().invoke(app, ["methods", "--json"]).stdout)
    assert set(listed) == set(METHODS)
    for name, method in listed.items():
        assert method["source"], name
        Experiment.of(method=name, **method["settings"])
        assert set(method["space"]) <= set(method["settings"]), name
    text = CliRunner().invoke(app, ["methods"]).stdout
    assert all(f"{name}: " in text for name in METHODS)
