"""What a network's row says of it beside others."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from sgu.ensembles import Logits, shadows
from sgu.experiment import Experiment
from sgu.metrics import against_retrained
from sgu.metrics.shadow import shadow_metrics
from tune.networks import Measured, beside


def answers(world: Any, seed: int) -> Logits:
    generator = torch.Generator().manual_seed(seed)
    parts = (world.source.train, world.source.heldout)
    return Logits(*(torch.randn(len(part), 10, generator=generator) for part in parts))


@pytest.fixture
def found(world):
    """Three networks of random answers, by the names of their rows."""
    made = {}
    for k, name in enumerate(("original", "retrain", "retrain-1")):
        row = {"retain_acc": 0.9, "forget_acc": 0.5 + k / 10, "test_acc": 0.6, "mia_acc": 0.5}
        made[name] = Measured(answers(world, k), answers(world, k), row)
    return made


def test_shadow_models_attack_references_as_they_attack_trials(world, found):
    design = shadows(Experiment(subset=400), world, 2)
    by = design, [answers(world, 10 + k) for k in range(4)]
    for name, one in found.items():
        row = beside(found["retrain"].row, name, one, world, by)
        expected = shadow_metrics(one.logits, by[1], design, world)
        assert {column: row[column] for column in ("rmia_auc", "lira_auc")} == expected


def test_the_retrained_model_has_no_distance_from_itself(world, found):
    """It would be 0, which makes the band of retrained models' distances too wide."""
    retrained = found["retrain"].row
    rows = {name: beside(retrained, name, one, world, None) for name, one in found.items()}
    assert rows.pop("retrain") == {}
    assert rows == {name: against_retrained(found[name].row, retrained) for name in rows}
