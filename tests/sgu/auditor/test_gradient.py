"""The implicit gradient against finite differences, CVXPY layers, and a game of known outcome."""

from __future__ import annotations

import itertools
from dataclasses import replace

import cvxpy as cp
import pytest
import torch
from cvxpylayers.torch import CvxpyLayer

from sgu.auditor import LinearAuditor

LOSSES, PENALTIES = ("hinge", "squared_hinge", "logistic"), ("l2", "l1")


def draw(problems: int, n: int, d: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    members = (torch.arange(n) % 2).expand(problems, n).clone()
    x = torch.randn(problems, n, d, generator=generator, dtype=torch.float64)
    return x + 0.4 * members[..., None], members


def decisions(auditor: LinearAuditor, members: torch.Tensor):
    def of(x, other):
        fit = auditor.fit(x, members)
        assert fit.converged.all()
        return fit.decision(other)

    return of


CASES = [(a, b, c) for a, b, c in itertools.product(LOSSES, PENALTIES, ("primal", "dual"))]


@pytest.mark.parametrize("shape", [(8, 3), (6, 9)], ids=["n>d", "n<d"])
@pytest.mark.parametrize(("loss", "penalty", "route"), CASES)
def test_finite_differences(loss, penalty, route, shape):
    """At mu = 1e-4 the hinge is round enough for a difference quotient anywhere; l1 needs a smaller
    one, since its rounding is in standardised units, whose own change is left out."""
    x, members = draw(2, *shape)
    other, _ = draw(2, 3, shape[1], seed=1)
    auditor = LinearAuditor(
        loss=loss, penalty=penalty, route=route, reg=0.05, tolerance=1e-12,
        smoothing=1e-4 if penalty == "l2" else 1e-8,
    )  # fmt: skip
    inputs = (x.requires_grad_(), other.requires_grad_())
    of = decisions(auditor, members)
    assert torch.autograd.gradcheck(of, inputs, fast_mode=True, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("route", ["primal", "dual"])
@pytest.mark.parametrize(("loss", "penalty"), itertools.product(LOSSES, PENALTIES))
def test_finite_differences_at_the_default_end(loss, penalty, route):
    """At the default mu, along one direction, away from kinks: relative error < 1e-6. With l1 the
    dual route's answers are too noisy for a quotient; its gradient is the primal route's.
    """
    x, members = draw(3, 20, 4, seed=2)
    other, _ = draw(3, 5, 4, seed=3)
    direction, _ = draw(3, 20, 4, seed=4)
    auditor = LinearAuditor(loss=loss, penalty=penalty, route=route, tolerance=1e-12)
    of = decisions(auditor, members)
    x.requires_grad_()
    (gradient,) = torch.autograd.grad(of(x, other).square().sum(), x)
    if (penalty, route) == ("l1", "dual"):
        primal = decisions(replace(auditor, route="primal"), members)(x, other).square().sum()
        expected = torch.autograd.grad(primal, x)[0]
        assert float((gradient - expected).norm() / expected.norm()) < 1e-5
        return
    slope = (gradient * direction).sum((1, 2))
    step = 1e-6

    def value(t: float) -> torch.Tensor:
        return of(x.detach() + t * direction, other).square().sum(1)

    quotient = (value(step) - value(-step)) / (2 * step)
    torch.testing.assert_close(slope, quotient, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("shape", [(40, 5), (14, 30)], ids=["primal", "dual"])
@pytest.mark.parametrize("penalty", PENALTIES)
def test_agrees_with_cvxpylayers(penalty, shape):
    (n, d), reg = shape, 1e-2
    x, members = draw(1, n, d, seed=6)
    x, other = x[0].requires_grad_(), draw(1, 10, d, seed=7)[0]
    w, b, A = cp.Variable(d), cp.Variable(), cp.Parameter((n, d))
    y = 2.0 * members[0].double() - 1
    size = cp.sum_squares(w) / 2 if penalty == "l2" else cp.norm1(w)
    loss = cp.sum(cp.pos(1 - A @ w + cp.multiply(y.numpy(), b))) / n
    problem = cp.Problem(cp.Minimize(reg * size + loss))
    layer = CvxpyLayer(problem, parameters=[A], variables=[w, b])
    w_, b_ = layer(y[:, None] * x, solver_args={"eps": 1e-10, "max_iters": 200_000})
    (theirs,) = torch.autograd.grad((other[0] @ w_ - b_).square().sum(), x)
    fit = LinearAuditor(penalty=penalty, reg=reg).fit(x[None], members)
    (ours,) = torch.autograd.grad(fit.decision(other).square().sum(), x)
    assert torch.cosine_similarity(ours.flatten(), theirs.flatten(), dim=0) > 0.9999
    assert (ours - theirs).norm() < 1e-3 * theirs.norm()


@pytest.mark.parametrize("loss", LOSSES)
def test_game_ends_where_the_auditor_knows_nothing(loss):
    """Members' scores N(delta, 1), others' N(0, 1): descending the utility brings delta to 0."""
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(1, 400, 1, generator=generator, dtype=torch.float64)
    members = (torch.arange(400) % 2).expand(1, 400)
    noise[:, 1::2] = noise[:, ::2]  # the same draws in both groups: the equilibrium is exactly 0
    delta = torch.tensor(1.5, dtype=torch.float64, requires_grad=True)
    auditor, game = LinearAuditor(loss=loss, reg=0.1), torch.optim.SGD([delta], lr=0.3)
    for _ in range(60):
        scores = noise + delta * members[..., None]
        fitted, held_out = scores[:, :200], scores[:, 200:]
        decision = auditor.fit(fitted, members[:, :200]).decision(held_out)
        utility = -torch.relu(1 - (2 * members[:, 200:] - 1) * decision).mean()
        game.zero_grad()
        utility.backward()
        game.step()
    assert abs(delta.item()) < 0.05


def test_gradient_reaches_scores_of_any_dtype():
    x, members = draw(2, 12, 3)
    x = x.float().requires_grad_()
    LinearAuditor().fit(x, members).decision(x).sum().backward()
    assert x.grad.dtype == torch.float32
    assert x.grad.isfinite().all()
