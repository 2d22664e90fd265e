"""The authors' game: a step of the training's own optimiser after each epoch, on all of forget."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from sgu.auditor import LinearAuditor
from sgu.game import Board, Game, Match
from sgu.training.clock import Clock
from sgu.training.loop import Optimisation, Pass, train

SMOOTH = LinearAuditor(loss="logistic", reg=0.1)


def network() -> nn.Module:
    torch.manual_seed(0)
    layers = nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten()
    return nn.Sequential(*layers, nn.Linear(128, 3))


def match_of(task, **rules) -> Match:
    game = Game(**({"auditor": SMOOTH, "update": "alternate"} | rules))
    return Match(game, task, 0, Clock(torch.device("cpu")))


def weights(model: nn.Module) -> torch.Tensor:
    return nn.utils.parameters_to_vector(model.parameters()).detach()


def gradients(match: Match, model: nn.Module) -> torch.Tensor:
    """Return the gradient of each round that goes through forget once, (rounds, d)."""
    rounds = []
    for _ in range(match.batches):
        model.zero_grad()
        match.play(model)
        rounds.append(torch.cat([w.grad.flatten() for w in model.parameters()]))
    return torch.stack(rounds)


def after_epoch(match: Match, model: nn.Module, optimiser: torch.optim.Optimizer) -> None:
    Board(model, match, lambda: None, lambda *_: None, []).after_steps(optimiser)


@pytest.mark.parametrize(("audit_batch", "batches"), [(None, 1), (30, 2), (12, 5)])
def test_the_step_is_on_the_mean_over_audit_batches(toy, audit_batch, batches):
    """So that `audit_batch`, which bounds memory, is no weight of the game."""
    model, rules = network(), {"lr": 0.3, "audit_batch": audit_batch}
    before, g = weights(model), gradients(match_of(toy(), **rules), copy.deepcopy(model))
    assert len(g) == batches
    after_epoch(match_of(toy(), **rules), model, torch.optim.SGD(model.parameters(), lr=9.0))
    torch.testing.assert_close(weights(model), before - 0.3 * g.mean(0))


def test_the_optimiser_of_the_training_takes_the_step_with_its_momentum(toy):
    """By hand: buffer = momentum buffer + g + decay theta, theta = theta - lr buffer."""
    model, match = network(), match_of(toy())
    optimiser = torch.optim.SGD(model.parameters(), lr=0.2, momentum=0.9, weight_decay=0.01)
    for w in model.parameters():
        w.grad = torch.ones_like(w)
    first = weights(model)
    optimiser.step()
    theta, buffer = weights(model), 1 + 0.01 * first
    g = gradients(match_of(toy()), copy.deepcopy(model))[0]
    after_epoch(match, model, optimiser)
    wanted = theta - 0.2 * (0.9 * buffer + g + 0.01 * theta)
    torch.testing.assert_close(weights(model), wanted)


def test_separate_statistics_normalise_each_side_by_itself(toy):
    """The outputs of batch-norm have mean 0 side by side; of both together, only in sum."""
    model, seen = network().train(), []
    model[1].register_forward_hook(lambda _, args, output: seen.append((args[0], output.detach())))
    match_of(toy(), statistics="separate").play(model)
    assert [len(output) for _, output in seen] == [30, 30]
    for inputs, output in seen:
        torch.testing.assert_close(output.mean((0, 2, 3)), torch.zeros(8), atol=1e-5, rtol=0)
        by_hand = copy.deepcopy(model[1]).train()
        by_hand._forward_hooks.clear()
        torch.testing.assert_close(output, by_hand(inputs).detach())
    assert torch.equal(model[1].running_mean, torch.zeros(8))
    seen.clear()
    match_of(toy(), statistics="batch").play(model)
    [(_, together)] = seen
    assert together.chunk(2)[0].mean((0, 2, 3)).abs().max() > 1e-3


def test_a_pass_has_its_own_batches_and_share_of_the_rate(toy):
    """Half of twice the rate, in batches of its own, is the plain run to the bit."""
    task, models = toy(), [network() for _ in range(2)]
    retain, train_set = task.splits.retain, task.source.train
    plain = Optimisation(epochs=2, lr=0.125, batch_size=16)
    other = Optimisation(epochs=2, lr=0.25, batch_size=64)
    train(models[0], train_set, lambda _: [Pass(retain)], task.pipeline, plain, 0)
    part = Pass(retain, batch_size=16, rate=0.5)
    train(models[1], train_set, lambda _: [part], task.pipeline, other, 0)
    assert torch.equal(*map(weights, models))
