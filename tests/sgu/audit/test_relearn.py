"""Relearning: nothing to do where nothing was forgotten, and more from nothing."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from sgu.audit.relearn import (
    EVERY,
    SHARE,
    Relearned,
    forget_acc,
    relearn_steps,
    relearned,
    relearning,
)
from sgu.evaluation import score
from sgu.models import build, pretraining

SLOW = replace(relearning("small_cnn"), batch_size=10)


@pytest.fixture(scope="module")
def level(original, task) -> float:
    return SHARE * forget_acc(original, task)


@pytest.fixture
def fresh(task):
    return build("small_cnn", task.source.shape, 1)


def test_the_level_is_a_share_of_the_original_s_accuracy(original, task, level):
    assert forget_acc(original, task) == pytest.approx(score(original, task, "forget").acc)
    assert level == SHARE * forget_acc(original, task) > 0.15


def test_the_original_needs_no_step_and_a_fresh_network_some(original, fresh, task, level):
    assert relearn_steps(original, task, SLOW, level=level) == 0
    steps = relearn_steps(fresh, task, SLOW, level=level, limit=200)
    assert steps is not None
    assert 0 < steps < 200
    assert steps % EVERY == 0


def test_a_higher_level_takes_no_fewer_steps(fresh, task):
    steps = [relearn_steps(fresh, task, SLOW, level=level, limit=300) for level in (0.2, 0.4, 0.8)]
    assert None not in steps
    assert steps == sorted(steps)
    assert steps[0] < steps[-1]


def test_a_hundredth_of_the_learning_rate_takes_longer(fresh, task, level):
    fast = relearn_steps(fresh, task, SLOW, level=level, limit=200)
    slow = relearn_steps(fresh, task, replace(SLOW, lr=SLOW.lr / 100), level=level, limit=200)
    assert fast is not None
    assert fast < (slow or math.inf)


def test_too_few_steps_and_divergence_are_none(fresh, task):
    assert relearn_steps(fresh, task, replace(SLOW, lr=1e-9), level=0.9, limit=3) is None
    assert relearn_steps(fresh, task, replace(SLOW, lr=1e30), level=0.9, limit=6) is None


def test_it_is_a_copy_that_relearns_and_the_same_each_time(fresh, task, bits, same):
    fresh.requires_grad_(requires_grad=False).eval()
    before, state = bits(fresh), torch.get_rng_state()
    first, again = (relearn_steps(fresh, task, SLOW, level=0.5, limit=40, seed=3) for _ in range(2))
    assert first == again is not None
    assert same(before, bits(fresh))
    assert torch.equal(state, torch.get_rng_state())
    assert not any(module.training for module in fresh.modules())
    assert not any(weights.requires_grad for weights in fresh.parameters())


def test_three_orders_are_tried(fresh, task):
    three = relearned(fresh, task, SLOW, level=0.5, seed=2)
    alone = [relearn_steps(fresh, task, SLOW, level=0.5, seed=seed) for seed in (2, 3, 4)]
    assert list(three.steps) == alone
    assert three.mean == sum(alone) / 3
    assert Relearned((4, None, 6)).mean is None
    assert "100 steps" in Relearned((4, None, 6)).reason


def test_an_answer_that_is_no_number_is_wrong(fresh, task):
    with torch.no_grad():
        next(fresh.parameters()).fill_(math.nan)
    assert forget_acc(fresh, task) == 0


def test_the_learning_rate_follows_the_model_s_own():
    for name in ("small_cnn", "bag_of_embeddings"):
        how, own = relearning(name), pretraining(name)
        assert (how.optimiser, how.lr) == (own.optimiser, own.lr / 10)
        assert (how.schedule, how.weight_decay, how.augment) == ("constant", 0, False)
