"""A study's shadow models saw no held-out image; its attacks against other libraries' areas."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.special import expit
from sklearn.metrics import roc_auc_score

from sgu.data.splits.splits import random_splits
from sgu.ensembles.designs import oracles, selection_shadows, shadows
from sgu.ensembles.selection import AGAINST, Selection, ShadowMargins
from sgu.evaluation import Logits
from sgu.experiment import Experiment
from sgu.metrics.shadow import margins
from sgu.results.verdicts import SELECTION, References
from sgu.task import Task

EXPERIMENT = Experiment.of(subset=400, pretrain_epochs=1, method="finetune", epochs=1)


def answers(task: Task, seed: int) -> Logits:
    generator = torch.Generator().manual_seed(seed)
    parts = (task.source.train, task.source.heldout)
    return Logits(*(3 * torch.randn(len(part), 10, generator=generator) for part in parts))


@pytest.fixture
def networks(task) -> list[Logits]:
    return [answers(task, 10 + k) for k in range(4)]


@pytest.fixture
def attacks(task, networks) -> ShadowMargins:
    return ShadowMargins.of(selection_shadows(EXPERIMENT, task, 2), networks, task)


def test_no_network_saw_a_held_out_image_and_each_forgotten_one_is_in_half(task):
    design = selection_shadows(EXPERIMENT, task, 3)
    assert all(int(shadow.indices.max()) < len(task.source.train) for shadow in design.recipes)
    assert torch.equal(design.forget, task.splits.forget)
    assert len(design.test) == 0
    assert (design.inside.sum(0) == 3).all()
    for shadow, inside in zip(design.recipes, design.inside, strict=True):
        kept = torch.cat([task.splits.retain, design.forget[torch.from_numpy(inside)]])
        assert torch.equal(shadow.indices, kept.sort().values)


def test_a_study_and_an_audit_share_no_network(task):
    study = [*selection_shadows(EXPERIMENT, task, 2).recipes]
    study += oracles(EXPERIMENT, task, 9, use="study")
    audit = [*shadows(EXPERIMENT, task, 2).recipes, *oracles(EXPERIMENT, task, 9)]
    assert not {recipe.seed for recipe in study} & {recipe.seed for recipe in audit}


def test_scores_are_the_definitions_example_by_example(task, networks, attacks):
    """LiRA and the likelihood ratio, with a fitted on forget alone; areas by scikit-learn."""
    model, design = answers(task, 0), selection_shadows(EXPERIMENT, task, 2)
    scored = model.scored(task)
    for split, prefix in AGAINST.items():
        examples, indices = task.part(split)
        peers = torch.isin(examples.targets[indices], task.source.train.targets[design.forget])
        indices, forgotten = indices[peers], task.source.train.targets[design.forget].numpy()
        targets = np.concatenate([forgotten, examples.targets[indices].numpy()])
        of = [
            margins(torch.cat([n.train[design.forget], n.heldout[indices]]).numpy(), targets)
            for n in (model, *networks)
        ]
        target, shadow, m = of[0], np.stack(of[1:]), len(design.forget)
        outside = np.concatenate([~design.inside, attacks.outside[split]], axis=1)
        out = [shadow[outside[:, k], k] for k in range(len(targets))]
        sd = np.sqrt(np.mean([np.var(values, ddof=1) for values in out]))
        lira = [(target[k] - out[k].mean()) / sd for k in range(len(targets))]
        p_in = np.array([expit(shadow[design.inside[:, k], k]).mean() for k in range(m)])
        p_out = np.array([expit(values).mean() for values in out])
        rest = 1 - p_out[:m]
        a = np.clip(((1 - p_in) * rest).sum() / (rest**2).sum(), 0, 1)
        ratio = expit(target) / (((1 + a) * p_out + 1 - a) / 2)
        members = np.arange(len(targets)) < m
        metrics = attacks.attacked(scored)
        assert metrics[f"{prefix}lira_auc"] == pytest.approx(roc_auc_score(members, lira))
        assert metrics[f"{prefix}rmia_auc"] == pytest.approx(roc_auc_score(members, ratio))


def test_a_held_out_example_counts_one_network_of_each_pair(attacks):
    for outside in attacks.outside.values():
        assert np.array_equal(outside[0::2], ~outside[1::2])
        assert 0 < outside[0].mean() < 1


def test_what_selects_does_not_read_test(task, networks, attacks):
    """Answers to test images may be anything: what is measured against val stays, to the bit."""
    other = [replace(n, heldout=n.heldout.clone()) for n in networks]
    for network in other:
        network.heldout[task.splits.test] = 9.0
    again = ShadowMargins.of(selection_shadows(EXPERIMENT, task, 2), other, task)
    scored = answers(task, 0).scored(task)
    selecting = {split: scored[split] for split in ("forget", "val")}
    expected = attacks.attacked(scored)
    names = ("val_rmia_auc", "val_lira_auc")
    assert again.attacked(selecting) == {name: expected[name] for name in names}


def test_residual_memory_is_the_mean_share_of_the_way_to_the_original():
    retrained = [dict.fromkeys(SELECTION, 0.5 + step) for step in (-0.01, 0.0, 0.01)]
    original = {name: 1.0 - k / 10 for k, name in enumerate(SELECTION)}
    selection = Selection(200, None, References(original=original, retrained=retrained))
    model = dict.fromkeys(SELECTION, 0.6)
    shares = [0.1 / (original[name] - 0.5) for name in SELECTION]
    assert selection.residual(model) == pytest.approx({"val_residual": np.mean(shares)})
    below = dict.fromkeys(SELECTION, 0.4)  # as far on the other side: over-forgetting counts alike
    assert selection.residual(below) == pytest.approx({"val_residual": np.mean(shares)})
    few = References(original=original, retrained=retrained[:2])
    assert Selection(200, None, few).residual(model) == {}


def test_a_model_that_has_met_a_part_of_its_requests_is_not_judged(task, attacks):
    two = replace(task, splits=random_splits(task.source, 0.1, requests=2))
    so_far = two.requests()[0].so_far
    measure = Selection(len(two.splits.forget), attacks).metrics
    assert measure(answers(task, 0).scored(so_far), {}) == {}
