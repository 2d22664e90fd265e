"""The auditor's engine on a device: the CPU's answers, in few launches, without waits."""

from __future__ import annotations

import itertools

import pytest
import torch
from pretended import counted

from sgu.auditor import CvxpyAuditor, LinearAuditor, MLPAuditor
from sgu.auditor.central_path import Path
from sgu.auditor.systems import Factor

LOSSES, PENALTIES, ROUTES = ("hinge", "squared_hinge", "logistic"), ("l2", "l1"), ("primal", "dual")
every_auditor = pytest.mark.parametrize(
    ("loss", "penalty", "route"), list(itertools.product(LOSSES, PENALTIES, ROUTES))
)


def draw(problems: int, n: int, d: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    members = (torch.arange(n) % 2).expand(problems, n).clone()
    x = torch.randn(problems, n, d, generator=generator, dtype=torch.float64)
    shift = torch.randn(problems, 1, d, generator=generator, dtype=torch.float64)
    return x + 0.5 * shift * members[..., None], members


def answer(auditor, x, members, weight=None, start=None):
    """Return a fit, and the gradient of what it decides."""
    x = x.detach().requires_grad_()
    fit = auditor.fit(x, members, weight=weight, start=start)
    fit.decision(x.detach()).square().mean().backward()
    return fit, x.grad


@every_auditor
def test_answers_are_those_of_the_cpu(loss, penalty, route, device):
    """One problem is padded, one void."""
    x, members = draw(6, 24, 4) if route == "primal" else draw(6, 8, 20)
    weight = torch.ones(members.shape, dtype=x.dtype)
    weight[0, -2:], members[1] = 0, 1
    auditor = LinearAuditor(loss=loss, penalty=penalty, route=route, reg=0.1)
    here, slope = answer(auditor, x, members, weight)
    there, slope_there = answer(auditor, *(t.to(device) for t in (x, members, weight)))
    assert there.converged.tolist() == here.converged.tolist() == [True, False] + 4 * [True]
    torch.testing.assert_close(there.w.cpu(), here.w, rtol=1e-6, atol=1e-8)
    torch.testing.assert_close(there.dual.cpu(), here.dual, rtol=1e-5, atol=1e-8)
    torch.testing.assert_close(slope_there.cpu(), slope, rtol=1e-4, atol=1e-8)


def test_float32_answers_are_those_of_the_cpu(device):
    x, members = draw(4, 24, 4)
    auditor = LinearAuditor(dtype=torch.float32, smoothing=1e-6, tolerance=1e-5, reg=0.1)
    here, _ = answer(auditor, x, members)
    there, _ = answer(auditor, x.to(device), members.to(device))
    assert there.converged.all()
    torch.testing.assert_close(there.w.cpu(), here.w, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("auditor", [LinearAuditor(reg=0.1), MLPAuditor(hidden=3, reg=0.1)])
def test_a_warm_start_is_that_of_the_cpu(auditor, device):
    x, members = draw(2, 16, 3)
    here, slope = answer(auditor, x, members, start=auditor.fit(x + 0.01, members))
    there = x.to(device), members.to(device)
    warm, slope_there = answer(auditor, *there, start=auditor.fit(there[0] + 0.01, there[1]))
    assert warm.converged.all()
    torch.testing.assert_close(
        warm.decision(there[0]).cpu(), here.decision(x), rtol=1e-5, atol=1e-6
    )
    torch.testing.assert_close(slope_there.cpu(), slope, rtol=1e-4, atol=1e-8)


def test_cvxpy_answers_from_a_device(device):
    pytest.importorskip("cvxpy", reason="a machine with a card may lack cvxpy")
    x, members = draw(2, 12, 3)
    here, slope = answer(CvxpyAuditor(reg=0.1), x, members)
    there, slope_there = answer(CvxpyAuditor(reg=0.1), x.to(device), members.to(device))
    torch.testing.assert_close(there.w.cpu(), here.w)
    torch.testing.assert_close(slope_there.cpu(), slope)


def test_a_matrix_that_is_not_positive_definite_is_flagged(device):
    """cuSOLVER and LAPACK need not agree on NaN."""
    matrices = torch.eye(4, dtype=torch.float64).repeat(3, 1, 1)
    matrices[1, 2, 2], matrices[2, 1, 1] = -1.0, torch.nan
    assert (Factor(matrices.to(device)).singular != 0).tolist() == [False, True, True]
    assert (Factor(matrices).singular != 0).tolist() == [False, True, True]


@pytest.mark.counts
@pytest.mark.parametrize(("loss", "most"), [("hinge", 60), ("squared_hinge", 60), ("logistic", 50)])
def test_an_iteration_is_few_launches_and_no_wait(loss, most, device, monkeypatch):
    advance, counts = Path.advance, []

    def noted(self, careful=False):
        with counted() as count:
            advance(self, careful)
        counts.append(count)

    monkeypatch.setattr(Path, "advance", noted)
    x, members = (t.to(device) for t in draw(6, 24, 4))
    LinearAuditor(loss=loss, reg=0.1).fit(x, members)
    assert len(counts) >= 12
    assert max(count.launches for count in counts[1:]) <= most  # the first makes what all keep
    assert sum(count.waits for count in counts) == 0


@pytest.mark.counts
def test_a_pass_of_cifar_10_is_a_thousand_launches(device):
    """150 problems of 140 x 11, as benchmarks/auditor.py draws them, with the gradient."""
    generator = torch.Generator().manual_seed(0)
    members = (torch.arange(140) % 2).expand(150, -1).clone()
    x = torch.randn(150, 140, 11, generator=generator, dtype=torch.float64)
    x = x * torch.logspace(-0.5, 0.5, 11, dtype=torch.float64)
    shift = 0.5 * torch.randn(150, 1, 11, generator=generator, dtype=torch.float64)
    x, members = (x + shift * members[..., None]).to(device), members.to(device)
    with counted() as count:
        fit, _ = answer(LinearAuditor(), x, members)
    assert fit.converged.all()
    assert count.launches <= 1000, count.launched
    assert count.waits <= 4, count.waited  # one is the check of what it was given


@pytest.mark.counts
def test_a_neural_auditor_is_two_thousand_launches(device):
    """A round's problems of CIFAR-10 and their gradient."""
    x, members = (t.to(device) for t in draw(30, 40, 11))
    with counted() as count:
        fit, _ = answer(MLPAuditor(reg=0.1), x, members)
    assert fit.converged.all()
    assert count.launches <= 2000, count.launched
    assert count.waits <= 20, count.waited
