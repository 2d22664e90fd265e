"""The three examples run, on small real data, and end with a true result."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest
import torch

from sgu.experiment import Experiment
from sgu.unlearning import unlearn

EXAMPLES = Path(__file__).parents[2] / "examples"


def example(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.long
def test_the_researcher_is_told_that_the_network_remembers():
    torch.set_num_threads(1)
    report = example("researcher").main(subset=300, epochs=12, retrained=3, shadows=0)
    assert report.verdicts["before"].startswith("Remembers")
    assert {"unlearned", "mine"} < set(report.verdicts)


@pytest.mark.long
def test_the_privacy_engineer_gets_a_network_and_a_report(tmp_path):
    sizes = {"subset": 120, "epochs": 1, "oracles": 0, "shadows": 0}
    run, audit = example("privacy_engineer").main(tmp_path, **sizes)
    assert "forget_acc" in run
    assert "forgotten" in audit
    pages = list(tmp_path.glob("results/audit/*/report.html"))
    assert len(pages) == 1
    page = pages[0].read_text()
    assert "with mean 0.485, 0.456, 0.406, std 0.229, 0.224, 0.225" in page
    assert "as forget.csv states" in page


@pytest.mark.long
def test_a_sweep_has_the_numbers_of_the_commands(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    table = example("sweep").main(subset=200, pretrain_epochs=1)
    assert len(table) == 8
    row = table[table["method"] == "sg"].iloc[0]
    experiment = Experiment.of(subset=200, pretrain_epochs=1, method="sg", **row["settings"])
    task = experiment.task()
    wanted = unlearn(experiment, task, experiment.reference("original", task).model).metrics
    for name in ("forget_acc", "val_acc", "mia_auc", "ks"):
        assert row[name] == pytest.approx(wanted[name], abs=1e-6)
