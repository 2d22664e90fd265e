"""The study of the paper's protocol and the preset state the same settings."""

from __future__ import annotations

from pathlib import Path

from sgu.experiment import Experiment
from sgu.presets import preset_settings
from tune.spec.spec import load_spec

STUDY = Path(__file__).parents[3] / "studies" / "paper.yaml"


def test_the_study_is_the_preset_on_the_data_and_model_of_the_paper():
    [cell] = load_spec(STUDY).cells
    here = {"data": "../shared/data/cifar10", "model": "resnet18"}
    assert cell.base == Experiment.of(**preset_settings("paper") | here)


def test_every_alpha_of_the_sweep_is_run_with_ten_seeds():
    spec = load_spec(STUDY)
    [cell] = spec.cells
    tried = {settings["alpha"] for settings in cell.controls()}
    tried |= set(cell.space["alpha"].ends())
    assert tried == {0, 0.05, 0.1, 0.25, 0.5, 1, 2, 5}
    assert (spec.seeds, spec.sampler, cell.trials) == (10, "grid", 6)
