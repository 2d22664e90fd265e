"""`sgu.GameTerm` in a loop of one's own is the game of `sgu.unlearn`, bit for bit."""

from __future__ import annotations

import copy
import gc
import warnings

import pytest
import torch
from torch.nn import functional as F

import sgu
from sgu.training.loop import batches

STEPS = 6  # of an epoch over 180 examples to be retained, in batches of 32


def loop(model, task, term, epochs: int = 2) -> None:
    """Fine-tune on retain in the order of `sgu.unlearn` with seed 0, with the term."""
    optimiser = torch.optim.SGD(model.parameters(), 0.01, 0.9, weight_decay=5e-4, nesterov=True)
    generator = torch.Generator().manual_seed(0)
    model.train()
    for _ in range(epochs):
        for step, batch in enumerate(batches(task.splits.retain, 32, generator), 1):
            inputs, targets = task.source.train.at(batch, "cpu")
            optimiser.zero_grad()
            F.cross_entropy(model(inputs), targets).backward()
            term(model, last=step == STEPS)
            optimiser.step()


@pytest.mark.parametrize("solve_every", [4, "epoch"])
def test_it_is_the_game_of_unlearn(before, own, solve_every):
    wanted = sgu.unlearn(
        before, own, alpha=3.0, reg=0.05, epochs=2, lr=0.01, schedule="constant", batch_size=32,
        solve_every=solve_every,
    ).model  # fmt: skip
    model, term = copy.deepcopy(before), sgu.GameTerm(own, 3.0, 0.05, solve_every)
    torch.manual_seed(0)  # dropout draws from it
    loop(model, own, term)
    for mine, theirs in zip(model.parameters(), wanted.parameters(), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=0, atol=1e-6)
    assert (term.steps, term.rounds) == (12, 3 if solve_every == 4 else 2)
    assert f"{term.rounds} rounds in 12 steps" in repr(term)
    assert term.unsolved == 0


def test_a_round_returns_the_auditors_utility(before, own):
    term, model = sgu.GameTerm(own, solve_every=2), copy.deepcopy(before)
    assert term(model) is None
    utility = term(model)
    assert utility is not None
    assert utility.shape == ()
    assert all(weights.grad is not None for weights in model.parameters())


def test_a_term_that_never_played_says_so(before, own):
    term, model = sgu.GameTerm(own, solve_every=50), copy.deepcopy(before)
    loop(model, own, term, epochs=1)
    held = [term]
    del term
    with pytest.warns(
        UserWarning, match="never played: solve_every = 50, and the steps in all are 6"
    ):
        held.clear()
    held.append(sgu.GameTerm(own, solve_every=8))
    loop(model, own, held[0], epochs=2)  # its loop says which steps are the last
    with pytest.warns(UserWarning, match="an epoch is over at step 6, before solve_every = 8"):
        held.clear()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        sgu.GameTerm(own)  # never called: nothing to say
        gc.collect()


def test_a_term_whose_first_round_fails_says_why_and_no_more(before, own):
    term = sgu.GameTerm(own, solve_every=1)
    with pytest.raises(ValueError, match="all weights of the model are frozen"):
        term(copy.deepcopy(before).requires_grad_(False))
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        term._tally.warn()
    assert warned == []


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"alpha": 0}, "alpha = 0: no game is played"),
        ({"reg": 0}, "reg = 0"),
        ({"update": "alternate"}, "update = 'alternate' takes steps of its own"),
        ({"solve_every": 0}, "solve_every = 0"),
    ],
)
def test_settings_out_of_bounds_are_named(own, settings, message):
    with pytest.raises(ValueError, match=message):
        sgu.GameTerm(own, **settings)
