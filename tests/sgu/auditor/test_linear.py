"""The linear engine's answers, against CVXPY with Clarabel and scikit-learn."""

from __future__ import annotations

import itertools

import cvxpy as cp
import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.svm import LinearSVC

from sgu.auditor import LinearAuditor

LOSSES, PENALTIES = ("hinge", "squared_hinge", "logistic"), ("l2", "l1")
CIFAR10, CIFAR100 = (140, 11), (14, 101)  # (n, d) of one class's fold at full size
TIGHT = {"tol_gap_abs": 1e-12, "tol_gap_rel": 1e-12, "tol_feas": 1e-12}


def draw(problems: int, n: int, d: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Return unevenly scaled, overlapping scores and alternating members."""
    generator = torch.Generator().manual_seed(seed)
    members = (torch.arange(n) % 2).expand(problems, n).clone()
    x = torch.randn(problems, n, d, generator=generator, dtype=torch.float64)
    shift = 0.5 * torch.randn(problems, 1, d, generator=generator, dtype=torch.float64)
    return x * torch.logspace(-0.5, 0.5, d, dtype=torch.float64) + shift * members[
        ..., None
    ], members


def objective(auditor: LinearAuditor, w, b, x, members) -> float:
    """Return the auditor's objective at (w, b) in numpy, for one problem."""
    w, b, x, y = np.asarray(w), float(b), np.asarray(x), 2.0 * np.asarray(members) - 1
    margin = y * (x @ w - b)
    loss = {
        "hinge": np.maximum(0, 1 - margin),
        "squared_hinge": np.maximum(0, 1 - margin) ** 2,
        "logistic": np.logaddexp(0, -margin),
    }[auditor.loss]
    size = w @ w / 2 if auditor.penalty == "l2" else np.abs(w).sum()
    return auditor.reg * size + loss.mean()


def exact_minimum(auditor: LinearAuditor, x, members) -> float:
    """Return Clarabel's minimum, past its default tolerance (its w is less exact)."""
    n, d = x.shape
    w, b, y = cp.Variable(d), cp.Variable(), 2.0 * np.asarray(members) - 1
    margin = cp.multiply(y, np.asarray(x) @ w - b)
    loss = {
        "hinge": cp.sum(cp.pos(1 - margin)),
        "squared_hinge": cp.sum_squares(cp.pos(1 - margin)),
        "logistic": cp.sum(cp.logistic(-margin)),
    }[auditor.loss]
    size = cp.sum_squares(w) / 2 if auditor.penalty == "l2" else cp.norm1(w)
    problem = cp.Problem(cp.Minimize(auditor.reg * size + loss / n))
    problem.solve(solver=cp.CLARABEL, **TIGHT)
    assert problem.status in ("optimal", "optimal_inaccurate")
    return problem.value


@pytest.mark.parametrize("shape", [CIFAR10, CIFAR100], ids=["140x11", "14x101"])
@pytest.mark.parametrize(("loss", "penalty"), itertools.product(LOSSES, PENALTIES))
def test_objective_is_the_exact_minimum(loss, penalty, shape):
    x, members = draw(4, *shape)
    for route in ("primal", "dual"):
        auditor = LinearAuditor(loss=loss, penalty=penalty, route=route)
        fit = auditor.fit(x, members)
        assert fit.converged.all()
        assert fit.residual.max() < 1e-9
        for p in range(2):
            ours = objective(auditor, fit.w[p], fit.b[p], x[p], members[p])
            exact = exact_minimum(auditor, x[p], members[p])
            assert abs(ours / exact - 1) < 1e-8, (route, ours, exact)


@pytest.mark.parametrize("reg", [1e-4, 1.0])
@pytest.mark.parametrize("penalty", PENALTIES)
def test_objective_at_extreme_regularisation(penalty, reg):
    x, members = draw(2, 60, 5, seed=1)
    auditor = LinearAuditor(penalty=penalty, reg=reg)
    fit = auditor.fit(x, members)
    assert fit.converged.all()
    for p in range(2):
        ours = objective(auditor, fit.w[p], fit.b[p], x[p], members[p])
        assert abs(ours / exact_minimum(auditor, x[p], members[p]) - 1) < 1e-8


@pytest.mark.parametrize("reg", [1e-4, 1e-6])
@pytest.mark.parametrize("shape", [CIFAR10, CIFAR100], ids=["140x11", "14x101"])
def test_l1_converges_at_a_small_reg(reg, shape):
    auditor = LinearAuditor(penalty="l1", reg=reg)
    x, members = draw(30, *shape)
    fit = auditor.fit(x, members)
    assert fit.converged.all()
    ours = objective(auditor, fit.w[0], fit.b[0], x[0], members[0])
    above = ours - exact_minimum(auditor, x[0], members[0])
    assert abs(above) <= 2 * auditor.smoothing * (1 + shape[1] * reg) + 1e-8 * ours


@pytest.mark.parametrize("loss", ["hinge", "squared_hinge"])
def test_agrees_with_linear_svc(loss):
    """LinearSVC minimises |w|²/2 + C sum loss; a large intercept_scaling leaves b unregularised."""
    x, members = draw(3, 80, 6)
    auditor = LinearAuditor(loss=loss, reg=1e-2)
    fit = auditor.fit(x, members)
    for p in range(3):
        svc = LinearSVC(
            loss=loss, dual=True, C=1 / (80 * 1e-2), intercept_scaling=10,
            tol=1e-5, max_iter=1_000_000, random_state=0,
        ).fit(x[p].numpy(), members[p].numpy())  # fmt: skip
        ours = objective(auditor, fit.w[p], fit.b[p], x[p], members[p])
        theirs = objective(auditor, svc.coef_[0], -svc.intercept_[0], x[p], members[p])
        assert ours <= theirs * (1 + 1e-9)
        assert theirs / ours - 1 < 1e-3
        np.testing.assert_allclose(fit.w[p], svc.coef_[0], atol=2e-2)


def test_agrees_with_logistic_regression():
    x, members = draw(3, 80, 6)
    fit = LinearAuditor(loss="logistic", reg=1e-2).fit(x, members)
    for p in range(3):
        model = LogisticRegression(C=1 / (80 * 1e-2), tol=1e-10, max_iter=10_000)
        model.fit(x[p].numpy(), members[p].numpy())
        np.testing.assert_allclose(fit.w[p], model.coef_[0], atol=1e-6)
        np.testing.assert_allclose(-fit.b[p], model.intercept_[0], atol=1e-6)


@pytest.mark.parametrize("loss", LOSSES)
def test_dual_certifies_the_optimum(loss):
    """Stationarity: reg w = sum dual_i y_i x_i, sum dual_i y_i = 0, and dual_i = -loss'(m_i)/n."""
    x, members = draw(3, 30, 4)
    fit = LinearAuditor(loss=loss, reg=1e-2).fit(x, members)
    y = 2.0 * members - 1
    pull = fit.dual * y
    torch.testing.assert_close(1e-2 * fit.w, torch.einsum("pn,pnd->pd", pull, x))
    torch.testing.assert_close(pull.sum(1), torch.zeros(3, dtype=x.dtype), atol=1e-9, rtol=0)
    margin = y * fit.decision(x)
    if loss == "logistic":
        torch.testing.assert_close(30 * fit.dual, torch.sigmoid(-margin))
    if loss == "squared_hinge":
        torch.testing.assert_close(30 * fit.dual, 2 * (1 - margin).clamp_min(0), atol=1e-5, rtol=0)
    if loss == "hinge":
        torch.testing.assert_close(
            30 * fit.dual[margin < 0.99], torch.ones(int((margin < 0.99).sum()), dtype=x.dtype)
        )
        assert fit.dual[margin > 1.01].max() < 1e-8


def test_weights_count_examples():
    """An example of weight 2 is the same as the example given twice."""
    x, members = draw(2, 20, 3)
    weight = torch.ones(2, 20, dtype=x.dtype)
    weight[:, :5] = 2
    once = LinearAuditor().fit(x, members, weight)
    twice = LinearAuditor().fit(
        torch.cat([x, x[:, :5]], 1), torch.cat([members, members[:, :5]], 1)
    )
    torch.testing.assert_close(once.w, twice.w, atol=1e-8, rtol=1e-7)


@pytest.mark.parametrize("shape", [CIFAR10, CIFAR100])
@pytest.mark.parametrize("loss", LOSSES)
def test_warm_start_gives_the_same_answer(loss, shape):
    x, members = draw(3, *shape)
    auditor = LinearAuditor(loss=loss)
    moved = x + 1e-2 * torch.randn(
        x.shape, generator=torch.Generator().manual_seed(5), dtype=x.dtype
    )
    cold = auditor.fit(moved, members)
    warm = auditor.fit(moved, members, start=auditor.fit(x, members))
    assert warm.converged.all()
    assert warm.iterations <= cold.iterations + 5
    torch.testing.assert_close(warm.w, cold.w, atol=1e-6, rtol=1e-6)


def test_float32_reaches_a_looser_end():
    x, members = draw(5, 60, 6)
    auditor = LinearAuditor(dtype=torch.float32, smoothing=1e-6, tolerance=1e-5)
    fit, exact = auditor.fit(x, members), LinearAuditor().fit(x, members)
    assert fit.converged.all()
    assert fit.w.dtype == torch.float32
    torch.testing.assert_close(fit.w.double(), exact.w, atol=2e-3, rtol=0)
