"""The CVXPY auditor: the engine's answers to a solver's tolerance, and problems of users."""

from __future__ import annotations

import itertools
import sys

import cvxpy as cp
import pytest
import torch

from sgu.auditor import AuditorError, CvxpyAuditor, LinearAuditor, SolverFailed, Statement


def draw(problems: int, n: int, d: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    members = (torch.arange(n) % 2).expand(problems, n).clone()
    x = torch.randn(problems, n, d, generator=generator, dtype=torch.float64)
    return x + 0.5 * members[..., None], members


LOSSES, PENALTIES = ("hinge", "squared_hinge", "logistic"), ("l2", "l1")


@pytest.mark.parametrize(("loss", "penalty"), itertools.product(LOSSES, PENALTIES))
def test_agrees_with_the_engine(loss, penalty):
    """Answers to 1e-5, gradients to 1e-3, with padding and a void problem in the batch."""
    x, members = draw(3, 16, 3)
    weight = torch.ones(3, 16)
    weight[0, :4] = 0
    members[2] = 1
    setting = {"loss": loss, "penalty": penalty, "reg": 0.05}
    gradients = []
    for auditor in (LinearAuditor(**setting), CvxpyAuditor(**setting)):
        at = x.clone().requires_grad_()
        fit = auditor.fit(at, members, weight)
        assert fit.converged.tolist() == [True, True, False]
        fit.decision(x.flip(1)).square().sum().backward()
        gradients.append((fit.w.detach(), fit.b.detach(), at.grad))
    (w, b, ours), (w_, b_, theirs) = gradients
    torch.testing.assert_close(w, w_, atol=1e-5, rtol=0)
    torch.testing.assert_close(b, b_, atol=1e-5, rtol=0)
    assert torch.cosine_similarity(ours.flatten(), theirs.flatten(), dim=0) > 0.9999
    assert (ours - theirs).norm() < 1e-3 * theirs.norm()


def elastic_net(s: Statement):
    """l2 and l1 penalty together."""
    return 0.05 * cp.sum_squares(s.w) / 2 + 0.02 * cp.norm1(s.w) + s.c @ cp.pos(1 - s.margin)


def huber_hinge(s: Statement):
    return 0.05 * cp.sum_squares(s.w) / 2 + s.c @ cp.huber(cp.pos(1 - s.margin), 0.5)


@pytest.mark.parametrize("objective", [elastic_net, huber_hinge])
def test_an_objective_of_the_user(objective):
    """The optimum is that of Clarabel in CVXPY; the gradient is the difference quotient."""
    x, members = draw(1, 14, 2, seed=3)
    auditor = CvxpyAuditor(objective=objective, solver_args={"eps": 1e-11, "max_iters": 200_000})
    fit = auditor.fit(x.requires_grad_(), members)
    y = 2.0 * members[0].numpy() - 1
    w, b, margin = cp.Variable(2), cp.Variable(), cp.Variable(14)
    s = Statement(w=w, b=b, margin=margin, c=torch.full((14,), 1 / 14).numpy())
    tied = margin == cp.multiply(y, x[0].detach().numpy() @ w - b)
    cp.Problem(cp.Minimize(objective(s)), [tied]).solve(solver=cp.CLARABEL)
    torch.testing.assert_close(fit.w[0].detach(), torch.tensor(w.value), atol=1e-5, rtol=0)
    other, direction = draw(1, 4, 2, seed=4)[0], draw(1, 14, 2, seed=5)[0]
    (gradient,) = torch.autograd.grad(fit.decision(other).square().sum(), x)

    def value(t: float) -> torch.Tensor:
        return auditor.fit(x.detach() + t * direction, members).decision(other).square().sum()

    quotient = (value(1e-4) - value(-1e-4)) / 2e-4
    torch.testing.assert_close((gradient * direction).sum(), quotient, rtol=1e-3, atol=1e-5)


def test_a_shape_is_canonicalised_once():
    auditor, calls = CvxpyAuditor(objective=lambda s: calls.append(s) or elastic_net(s)), []
    for seed in (0, 1):
        auditor.fit(*draw(2, 10, 2, seed))
    auditor.fit(*draw(1, 12, 2))
    assert len(calls) == 2


def test_failures_have_names(monkeypatch):
    x, members = draw(1, 10, 2)
    with pytest.raises(SolverFailed, match="raise max_iters"):
        CvxpyAuditor(objective=lambda s: -cp.sum(s.w) + 0 * (s.c @ s.margin)).fit(x, members)
    with pytest.raises(AuditorError, match="is_dcp"):
        CvxpyAuditor(objective=lambda s: s.c @ cp.sqrt(s.margin)).fit(x, members)
    with pytest.raises(AuditorError, match="reg = 0"):
        CvxpyAuditor(reg=0)
    with pytest.raises(AuditorError, match="losses are"):
        CvxpyAuditor(loss="ramp")
    monkeypatch.setitem(sys.modules, "cvxpy", None)
    with pytest.raises(ImportError, match="needs the package cvxpy"):
        CvxpyAuditor().fit(x, members)
