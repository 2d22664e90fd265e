"""The command gives the right results, and one line for each mistake."""

import io
import json
import subprocess
import sys

import pandas as pd
import pytest
import yaml
from pyarrow.fs import FileSystem, copy_files
from typer.testing import CliRunner

from analysis import choose, hypervolume, load_study, pareto_front
from analysis.cli import app
from sgu.results.schema import TRIALS


def run(study, *arguments):
    return CliRunner().invoke(app, [*arguments, "--results", str(study.parent)])


def test_front_prints_the_table_and_draws_it(study):
    result = run(study, "front", "demo")
    assert result.exit_code == 0, result.output
    assert "Hypervolume" in result.stdout
    assert (study / "front.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.long
def test_a_study_in_a_bucket_is_read_where_it_lies(study, bucket, tmp_path, monkeypatch):
    """Table, picture, page and choice; what is drawn lies here, and its path is printed."""
    address = bucket("report")
    there, path = FileSystem.from_uri(address)
    copy_files(str(study), f"{path}/demo", destination_filesystem=there)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    for words in (["front"], ["html"], ["choose", "--any", "--where", "val_mia_acc <= 0.55"]):
        command, *more = words
        local = CliRunner().invoke(app, [command, "demo", *more, "--results", str(study.parent)])
        found = CliRunner().invoke(app, [command, "demo", *more, "--results", address])
        assert found.exit_code == 0, found.output
        assert found.stdout.splitlines()[:-1] == local.stdout.splitlines()[:-1]
        assert command != "html" or local.stdout.strip() == str(study / "report.html")
    here = tmp_path / "here/results/demo"
    assert {file.name for file in here.iterdir()} == {"front.png", "report.html"}
    assert (here / "report.html").read_text() == (study / "report.html").read_text()
    path, _, query = address.partition("?")
    assert load_study(f"{path}/demo?{query}").equals(load_study(study))


def test_json_agrees_with_the_library(study):
    """The study is named by its path, which serves as its name does."""
    words = ["--json", "--objectives", "val_acc,val_mia_auc,seconds"]
    result = CliRunner().invoke(app, ["front", str(study), *words])
    summary = json.loads(result.stdout)
    frame, names = load_study(study), ("val_acc", "val_mia_auc", "seconds")
    assert summary["hypervolume"] == pytest.approx(hypervolume(frame, names))
    expected = list(pareto_front(frame, names)["trial_id"])
    assert [row["trial_id"] for row in summary["front"]] == expected
    assert summary["trials"] == {"complete": 45, "failed": 1, "pruned": 1}
    assert len(summary["controls"]) == 3


def test_each_cell_has_a_front_of_its_own(study, synthetic):
    """On a harder data set every trial is beaten by one of the other data set."""
    rows = [
        row | {"dataset": "hard", "cell": row["cell"].replace("digits", "hard")}
        | ({"val_error": row["val_error"] + 0.3} if row["val_error"] else {})
        for row in synthetic.study_rows()
    ]  # fmt: skip
    failed = synthetic.trial("x", cell="digits/scrub", method="scrub", status="failed")
    synthetic.write_rows(study / "trials", "hard.parquet", [*rows, failed], TRIALS)
    frame = load_study(study)
    summary = json.loads(run(study, "front", "demo", "--json").stdout)
    assert list(summary["cells"]) == ["digits/scrub", "digits/sg", "hard/sg"]
    for cell in ("digits/sg", "hard/sg"):
        found, own = summary["cells"][cell], frame[frame["cell"] == cell]
        assert found["hypervolume"] == pytest.approx(hypervolume(own))
        expected = list(pareto_front(own)["trial_id"])
        assert [row["trial_id"] for row in found["front"]] == expected
        assert {row["cell"] for row in found["front"]} == {cell}
        assert [row["runs"] for row in found["controls"]] == [3, 3, 3]
    assert summary["cells"]["digits/scrub"]["front"] == []
    written = run(study, "front", "demo", "--csv").stdout
    assert written.startswith("schema_version,study,cell,trial_id,seed")
    lines = pd.read_csv(io.StringIO(written))
    expected = pareto_front(frame, by=["cell"])
    assert list(zip(lines["cell"], lines["trial_id"], strict=True)) == list(
        zip(expected["cell"], expected["trial_id"], strict=True)
    )
    assert set(lines["cell"]) == {"digits/sg", "hard/sg"}


def test_choose_prints_a_command_and_says_why_on_stderr(study):
    rule = ["--any", "--where", "val_mia_acc <= 0.55"]
    result = run(study, "choose", "demo", *rule)
    best = choose(load_study(study), where={"val_mia_acc": "<= 0.55"}, verdict="any")
    assert result.stdout.strip() == best.command()
    assert result.stderr.splitlines() == list(best.why)
    settings = yaml.safe_load(run(study, "choose", "demo", *rule, "--yaml").stdout)
    assert settings == best.settings
    assert json.loads(run(study, "choose", "demo", *rule, "--json").stdout) == best.record()


def test_without_a_trial_like_retrained_the_code_is_3_and_the_nearest_are_named(study):
    result = run(study, "choose", "demo")
    assert result.exit_code == 3
    assert result.stderr.count("Trial ") == 3
    assert result.stderr.count("\n") == 1
    assert not result.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--where", "seconds"], 'expected a metric and its bound, "seconds <= 20"'),
        (["--cell", "letters/sg"], "--cell letters/sg: choose from digits/sg"),
        (["--where", "val_mia_acc <= e"], "val_mia_acc: bound '<= e'; expected"),
        (["--maximise", "val_error"], "val_error is best at its minimum: minimise it instead"),
        (["--minimise", "mia_acc"], "mia_acc reads the test split"),
    ],
)
def test_a_choice_that_cannot_be_made_costs_one_line(study, arguments, message):
    result = run(study, "choose", "demo", *arguments)
    assert result.exit_code == 2
    assert message in result.stderr
    assert result.stderr.count("\n") == 1
    assert not result.stdout


@pytest.mark.parametrize("command", ["front", "html"])
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nothing"], "no trials in"),
        (["demo", "--objectives", "val_error,mia_acc"],
         "mia_acc reads the test split, which is only ever reported; use val_mia_acc"),
        (["demo", "--objectives", "val_error,speed"], "unknown metric 'speed'"),
        (["demo", "--objectives", "val_error"], "need two or more"),
    ],
)  # fmt: skip
def test_a_mistake_costs_one_line_and_code_2(study, command, arguments, message):
    result = run(study, command, *arguments)
    assert result.exit_code == 2
    assert message in result.stderr
    assert result.stderr.count("\n") == 1
    assert not result.stdout


def test_two_forms_exclude_each_other(study):
    result = run(study, "front", "demo", "--json", "--csv")
    assert result.exit_code == 2
    assert "give one of them" in result.stderr


def test_a_corrupt_file_is_one_line_on_stderr(study):
    (study / "trials" / "bad.parquet").write_bytes(b"x")
    result = run(study, "front", "demo", "--json")
    assert result.exit_code == 0
    assert result.stderr.startswith("warning: ")
    assert "bad.parquet is set aside" in result.stderr
    assert json.loads(result.stdout)["trials"]["complete"] == 45


def test_help_names_all_commands():
    text = CliRunner().invoke(app, ["--help"]).stdout
    assert "front" in text
    assert "html" in text
    assert "choose" in text


@pytest.mark.parametrize("module", ["analysis.cli", "sgu.results.rows", "sgu.results.null_band"])
def test_reading_results_loads_neither_torch_nor_ray_nor_optuna(module):
    code = f"import sys, {module}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert not loaded & {"torch", "ray", "optuna", "tune"}
    parts = {name.split(".")[1] for name in loaded if name.startswith("sgu.")}
    assert parts <= {"results", "files"}
