"""The neural auditor: a stationary point, and its derivative against finite differences."""

from __future__ import annotations

import pytest
import torch

from sgu.auditor import AuditorError, MLPAuditor
from sgu.auditor.base import pose
from sgu.auditor.mlp import Inputs, _Training


def rings(problems: int, n: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Return members and the others around them: no hyperplane tells them apart."""
    generator = torch.Generator().manual_seed(seed)
    members = (torch.arange(n) % 2).expand(problems, n).clone()
    x = torch.randn(problems, n, 2, generator=generator, dtype=torch.float64)
    return x * torch.where(members == 1, 0.4, 1.5)[..., None], members


def test_learns_what_no_hyperplane_can():
    x, members = rings(2, 60)
    fit = MLPAuditor(hidden=8, reg=3e-3).fit(x, members)
    assert fit.converged.all()
    assert fit.residual.max() < 1e-7
    assert ((fit.decision(x) > 0) == (members == 1)).double().mean() > 0.85


def test_the_expansion_is_that_of_automatic_differentiation():
    x, members = rings(2, 12)
    problem, auditor = pose(x, members, None, torch.float64), MLPAuditor(hidden=3, reg=0.05)
    training = _Training(auditor, problem)
    generator = torch.Generator().manual_seed(5)
    theta = torch.randn(2, 3 * 4 + 1, generator=generator, dtype=torch.float64)
    whole = torch.func.hessian(lambda t: training.loss(t, x).sum())(theta)
    wanted = torch.stack([whole[problem, :, problem] for problem in range(2)])
    expansion = training.expansion(theta, Inputs.of(x, 3))
    torch.testing.assert_close(expansion.hessian, wanted)
    torch.testing.assert_close(expansion.slope, training.slope(theta, x))
    torch.testing.assert_close(expansion.loss, training.loss(theta, x))


def test_gradient_is_the_difference_quotient():
    x, members = rings(2, 12)
    other, direction = rings(2, 5, seed=1)[0], rings(2, 12, seed=2)[0]
    auditor = MLPAuditor(hidden=3, reg=0.05, tolerance=1e-11)
    first = auditor.fit(x.requires_grad_(), members)
    (gradient,) = torch.autograd.grad(first.decision(other).square().sum(), x)

    def value(t: float) -> torch.Tensor:
        fit = auditor.fit(x.detach() + t * direction, members, start=first)
        assert fit.converged.all()
        return fit.decision(other).square().sum((1,))

    quotient = (value(1e-5) - value(-1e-5)) / 2e-5
    torch.testing.assert_close((gradient * direction).sum((1, 2)), quotient, rtol=1e-5, atol=1e-7)


def test_gradient_is_that_of_unrolling():
    """Gradient descent unrolled from the stationary point: its derivative tends to the implicit."""
    x, members = rings(1, 10)
    other = rings(1, 4, seed=1)[0]
    auditor = MLPAuditor(hidden=2, reg=0.2, tolerance=1e-11)
    fit = auditor.fit(x.requires_grad_(), members)
    (implicit,) = torch.autograd.grad(fit.decision(other).square().sum(), x)
    W, u, a, t = fit.theta.detach()[0].split([4, 2, 2, 1])
    parameters = [W.view(2, 2), u, a, t]
    y = 2.0 * members[0] - 1
    z = (x[0] - x[0].mean(0)) / x[0].std(0, correction=0)

    def f(parameters, z):
        W, u, a, t = parameters
        return torch.tanh(z @ W + u) @ a + t

    parameters = [p.requires_grad_() for p in parameters]
    for _ in range(300):
        size = sum(p.square().sum() for p in parameters)
        loss = torch.log1p(torch.exp(-y * f(parameters, z))).mean() + 0.1 * size
        slopes = torch.autograd.grad(loss, parameters, create_graph=True)
        parameters = [p - 0.5 * slope for p, slope in zip(parameters, slopes, strict=True)]
    z_other = (other[0] - x[0].mean(0)) / x[0].std(0, correction=0)
    (unrolled,) = torch.autograd.grad(f(parameters, z_other).square().sum(), x)
    torch.testing.assert_close(implicit, unrolled, rtol=1e-4, atol=1e-7)


def test_padding_void_and_seed():
    x, members = rings(3, 12)
    auditor = MLPAuditor(hidden=4, reg=0.05)
    plain = auditor.fit(x, members)
    assert torch.equal(plain.theta, auditor.fit(x, members).theta)
    padded = torch.cat([x, torch.full_like(x[:, :3], torch.nan)], 1).requires_grad_()
    labels = torch.cat([members, members[:, :3]], 1)
    labels[2] = 1
    weight = torch.cat([torch.ones(3, 12), torch.zeros(3, 3)], 1)
    fit = auditor.fit(padded, labels, weight)
    torch.testing.assert_close(fit.decision(x)[:2], plain.decision(x)[:2], atol=1e-5, rtol=0)
    assert fit.void.tolist() == [False, False, True]
    assert (fit.decision(x)[2] == 0).all()
    fit.decision(x).sum().backward()
    assert padded.grad.isfinite().all()
    assert (padded.grad[2] == 0).all()
    assert (padded.grad[:, 12:] == 0).all()


def test_missing_the_tolerance_is_flagged():
    x, members = rings(2, 12)
    fit = MLPAuditor(steps=1).fit(x.requires_grad_(), members)
    assert not fit.converged.any()
    fit.decision(x.detach()).sum().backward()
    assert (x.grad == 0).all()


def test_settings_are_checked():
    with pytest.raises(AuditorError, match="hidden >= 1"):
        MLPAuditor(reg=0)
