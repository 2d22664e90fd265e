"""`sgu --config`, `--version`, `--original` and `--forget`."""

from __future__ import annotations

import json
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import CliRunner

from sgu.cli import app
from sgu.data.sources import load_source
from sgu.experiment import Experiment
from sgu.models import read_info
from sgu.networks.references import reference


def invoked(*words: str) -> Any:
    return CliRunner().invoke(app, list(words))


def test_the_version_is_that_of_the_package():
    assert version("sg-unlearn-study") in invoked("--version").output


@pytest.fixture
def own(tmp_path: Path) -> dict[str, Path]:
    """A network of one's own in a .pt file, and a list of who is to be forgotten."""
    experiment = Experiment(subset=200, pretrain_epochs=1)
    task = experiment.task(tmp_path)
    model = reference(
        experiment.recipe("original", task), task, tmp_path, torch.device("cpu")
    ).model
    paths = {"original": tmp_path / "mine.pt", "forget": tmp_path / "forget.txt"}
    torch.save({"state_dict": {f"module.{k}": v for k, v in model.state_dict().items()}},
               paths["original"])  # fmt: skip
    paths["forget"].write_text("\n".join(map(str, task.splits.forget.tolist())))
    return paths


@pytest.mark.long
def test_an_original_and_a_list_of_ones_own_do_what_the_commands_own_do(own, tmp_path):
    """The same network and the same examples, by file: the same numbers, to the last digit."""
    settings = {"subset": 200, "pretrain_epochs": 1, "epochs": 1, "batch_size": 64}
    config, saved = tmp_path / "run.yaml", tmp_path / "saved.safetensors"
    config.write_text("".join(f"{name}: {value}\n" for name, value in settings.items()))
    shared = ["--config", str(config), "--cache", str(tmp_path), "--json", "--solve-every", "1"]
    plain = invoked(*shared)
    assert plain.exit_code == 0, plain.output
    files = ["--original", str(own["original"]), "--forget", str(own["forget"])]
    by_file = invoked(*shared, *files, "--save", str(saved))
    assert by_file.exit_code == 0, by_file.output
    wanted, given = (json.loads(result.stdout) for result in (plain, by_file))
    for model, metrics in wanted["metrics"].items():
        for name in metrics:
            if not name.endswith("seconds"):
                assert given["metrics"][model][name] == metrics[name], (model, name)
    assert wanted["settings"]["solve_every"] == 1
    info = read_info(saved)
    assert json.loads(info["settings"])["forget"] == str(own["forget"])
    assert info["data_fingerprint"] == load_source("embedded", 200).fingerprint
    assert given["saved"] == str(saved)
    (tmp_path / "again.json").write_text(by_file.stdout)  # what a run prints can be run
    again = invoked("--config", str(tmp_path / "again.json"), "--cache", str(tmp_path), "--json")
    assert (
        json.loads(again.stdout)["metrics"]["unlearned"]["test_acc"]
        == (given["metrics"]["unlearned"]["test_acc"])
    )


def test_an_original_of_other_data_is_asked_about_and_what_is_saved_is_named(tmp_path):
    words = ["--pretrain-epochs", "1", "--method", "finetune", "--epochs", "1"]
    words += ["--cache", str(tmp_path)]
    saved = tmp_path / "small.safetensors"
    first = invoked("--subset", "100", *words, "--save", str(saved))
    assert f"saved: {saved}, with its settings" in first.output
    known, now = (load_source("embedded", size).fingerprint for size in (100, 150))
    second = invoked("--subset", "150", *words, "--original", str(saved))
    assert f"is of other data ({known}, these are {now})" in second.stderr
    again = invoked("--subset", "100", *words, "--original", str(saved))
    assert "is of other data" not in again.stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--original", "nothing.pt"], "nothing.pt: no such file"),
        (["--forget", "nothing.csv"], "nothing.csv: no such file"),
        (["--forget", "x.csv", "--forget-fraction", "0.2"], "forget names a file: leave scenario"),
        (["--mean", "0.5"], "state both, or neither"),
        (["--config", "nothing.yaml"], "no such file: give a YAML file"),
    ],
)
def test_a_file_that_is_missing_is_one_line(words, message, tmp_path):
    result = invoked(*words, "--subset", "200", "--cache", str(tmp_path))
    assert result.exit_code == 2, result.output
    assert message in result.output
    assert result.output.strip().count("\n") == 0


@pytest.mark.parametrize(
    ("typed", "wanted"), [("sgu au", "audit"), ("sgu audit --forget-cl", "--forget-classes")]
)
def test_the_shell_completes_commands_and_options(typed, wanted):
    asked = {"_SGU_COMPLETE": "complete_bash", "COMP_WORDS": typed}
    asked["COMP_CWORD"] = str(len(typed.split()) - 1)
    result = CliRunner().invoke(app, [], env=asked, prog_name="sgu")
    assert wanted in result.output.split()
