"""The columns of a network's row that it has beside others."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from sgu.ensembles.designs import selection_shadows
from sgu.ensembles.selection import Selection, ShadowMargins
from sgu.ensembles.train import kept_of
from sgu.evaluation import Logits
from sgu.experiment import Experiment
from sgu.metrics import against_retrained
from tune.worker.networks import Measured, beside


def answers(task: Any, seed: int) -> Logits:
    generator = torch.Generator().manual_seed(seed)
    parts = (task.source.train, task.source.heldout)
    return Logits(*(torch.randn(len(part), 10, generator=generator) for part in parts))


@pytest.fixture
def networks(task):
    """Three networks of random answers, by the names of their rows."""
    measured = {}
    for k, name in enumerate(("original", "retrain", "retrain-1")):
        row = {"retain_acc": 0.9, "forget_acc": 0.5 + k / 10, "test_acc": 0.6, "mia_acc": 0.5}
        logits = answers(task, k)
        measured[name] = Measured(kept_of(logits), logits, row)
    return measured


def test_shadow_models_attack_references_as_they_attack_trials(task, networks):
    design = selection_shadows(Experiment(subset=400), task, 2)
    shadows = ShadowMargins.of(design, [answers(task, 10 + k) for k in range(4)], task)
    attacks = Selection(len(task.splits.forget), shadows)
    for name, network in networks.items():
        row = beside(networks["retrain"].row, name, network, task, attacks)
        expected = shadows.attacked(network.logits.scored(task))
        assert expected.keys() == {"val_rmia_auc", "val_lira_auc", "rmia_auc", "lira_auc"}
        assert expected.items() <= row.items()


def test_the_retrained_model_has_no_distance_from_itself(task, networks):
    """It would be 0, which makes the band of retrained models' distances too wide."""
    retrained = networks["retrain"].row
    none = Selection(len(task.splits.forget))
    rows = {name: beside(retrained, name, one, task, none) for name, one in networks.items()}
    assert rows.pop("retrain") == {}
    assert rows == {name: against_retrained(networks[name].row, retrained) for name in rows}
