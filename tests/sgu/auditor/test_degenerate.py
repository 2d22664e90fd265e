"""Degenerate inputs: each has a defined answer or a named error."""

from __future__ import annotations

import itertools

import pytest
import torch

from sgu.auditor import AuditorError, LinearAuditor
from sgu.auditor.central_path import PATIENCE

LOSSES, PENALTIES = ("hinge", "squared_hinge", "logistic"), ("l2", "l1")
every_auditor = pytest.mark.parametrize(
    ("loss", "penalty", "route"), list(itertools.product(LOSSES, PENALTIES, ("primal", "dual")))
)


def draw(problems: int, n: int, d: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    members = (torch.arange(n) % 2).expand(problems, n).clone()
    x = torch.randn(problems, n, d, generator=generator, dtype=torch.float64)
    return x + 0.5 * members[..., None], members


def separable(x, members):
    return x + 20 * members[..., None], members


def duplicated(x, members):
    return x[:, :2].repeat(1, 10, 1), members[:, :2].repeat(1, 10)


def constant_feature(x, members):
    return torch.cat([x, torch.full_like(x[..., :1], 7.0)], -1), members


def one_member(x, members):
    return x, (torch.arange(x.shape[1]) == 3).expand_as(members)


def all_the_same(x, members):
    return torch.ones_like(x), members


def two_examples(x, members):
    return x[:, :2], members[:, :2]


def wide(x, members):
    return torch.cat([x, x.flip(1), x.roll(3, 1)] * 4, -1), members


def huge(x, members):
    return 1e6 * x, members


def tiny(x, members):
    return 1e-6 * x, members


def offset(x, members):
    return x + 1e6, members


ODDITIES = [separable, duplicated, constant_feature, one_member, all_the_same, two_examples]
ODDITIES += [wide, huge, tiny, offset]


@pytest.mark.parametrize("oddity", ODDITIES, ids=lambda oddity: oddity.__name__)
@pytest.mark.parametrize("route", ["auto", "primal", "dual"])
@pytest.mark.parametrize(("loss", "penalty"), list(itertools.product(LOSSES, PENALTIES)))
def test_odd_inputs(loss, penalty, route, oddity):
    """The automatic route, and every route with l2, converges; others converge or are flagged."""
    x, members = oddity(*draw(3, 20, 4))
    x = x.clone().requires_grad_()
    fit = LinearAuditor(loss=loss, penalty=penalty, route=route).fit(x, members)
    assert fit.converged.all() or (route != "auto" and penalty == "l1")
    assert (fit.w[~fit.converged] == 0).all()
    assert not fit.void.any()
    fit.decision(x).square().sum().backward()
    assert x.grad.isfinite().all()
    assert fit.decision(x).isfinite().all()


@pytest.mark.parametrize("penalty", PENALTIES)
def test_an_offset_moves_only_the_intercept(penalty):
    x, members = draw(2, 20, 4)
    near = LinearAuditor(penalty=penalty).fit(x, members)
    far = LinearAuditor(penalty=penalty).fit(x + 1e6, members)
    torch.testing.assert_close(near.w, far.w, atol=1e-7, rtol=1e-7)


def test_scale_and_reg_trade_places():
    x, members = draw(2, 20, 4)
    near = LinearAuditor(reg=1e-2).fit(x, members)
    far = LinearAuditor(reg=1e-2 * 1e12).fit(1e6 * x, members)
    torch.testing.assert_close(near.w, 1e6 * far.w, atol=1e-8, rtol=1e-8)


@every_auditor
def test_padding_changes_nothing(loss, penalty, route):
    x, members = draw(2, 12, 4)
    auditor = LinearAuditor(loss=loss, penalty=penalty, route=route)
    nothing = torch.full((2, 5, 4), torch.nan, dtype=x.dtype)
    nothing[1] = 1e9
    padded = torch.cat([x, nothing], 1).requires_grad_()
    labels = torch.cat([members, torch.ones(2, 5, dtype=members.dtype)], 1)
    weight = torch.cat([torch.ones(2, 12), torch.zeros(2, 5)], 1)
    x = x.clone().requires_grad_()
    plain, fit = auditor.fit(x, members), auditor.fit(padded, labels, weight)
    torch.testing.assert_close(fit.w, plain.w, atol=1e-8, rtol=1e-7)
    assert (fit.dual[:, 12:] == 0).all()
    other = draw(2, 3, 4, seed=1)[0]
    plain.decision(other).square().sum().backward()
    fit.decision(other).square().sum().backward()
    atol = 1e-5 if (penalty, route) == ("l1", "dual") else 1e-6  # it holds 5 digits
    torch.testing.assert_close(padded.grad[:, :12], x.grad, atol=atol, rtol=1e-5)
    assert (padded.grad[:, 12:] == 0).all()


@every_auditor
def test_void_problems_answer_zero(loss, penalty, route):
    """No members, no held-out examples, nothing but padding; the problem beside them is solved."""
    x, members = draw(4, 10, 3)
    members[1], members[2] = 0, 1
    weight = torch.ones(4, 10)
    weight[3] = 0
    x.requires_grad_()
    fit = LinearAuditor(loss=loss, penalty=penalty, route=route).fit(x, members, weight)
    assert fit.void.tolist() == [False, True, True, True]
    assert fit.converged.tolist() == [True, False, False, False]
    assert (fit.w[1:] == 0).all()
    assert (fit.b[1:] == 0).all()
    fit.decision(x.detach()).sum().backward()
    assert (x.grad[1:] == 0).all()
    assert (x.grad[0] != 0).any()


@every_auditor
def test_too_few_iterations_are_flagged(loss, penalty, route):
    x, members = draw(3, 20, 4)
    x.requires_grad_()
    fit = LinearAuditor(loss=loss, penalty=penalty, route=route, max_iterations=2).fit(x, members)
    assert fit.iterations == 2
    assert not fit.converged.any()
    assert (fit.w == 0).all()
    assert (fit.b == 0).all()
    fit.decision(x.detach()).sum().backward()
    assert (x.grad == 0).all()


def test_a_flagged_problem_leaves_the_others_alone():
    """One problem needs more iterations than its neighbour: only that one is flagged."""
    x, members = draw(2, 30, 4)
    x[0] = x[0, :2].repeat(15, 1)
    alone = [LinearAuditor().fit(x[i : i + 1], members[i : i + 1]).iterations for i in (0, 1)]
    fit = LinearAuditor(max_iterations=min(alone)).fit(x, members)
    assert fit.converged.tolist() == [count == min(alone) for count in alone]


@pytest.mark.parametrize("bad", [torch.nan, torch.inf])
def test_nan_scores_are_refused(bad):
    x, members = draw(2, 10, 3)
    x[1, 4, 0] = bad
    with pytest.raises(AuditorError, match="1 of 20 examples have NaN or infinite scores"):
        LinearAuditor().fit(x, members)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"reg": 0.0}, "no unique best response"),
        ({"reg": float("nan")}, "must be > 0"),
        ({"loss": "ramp"}, "losses are hinge, squared_hinge, logistic"),
        ({"penalty": "l0"}, "penalties are l2, l1"),
        ({"smoothing": 0.0}, "smoothing"),
    ],
)
def test_settings_are_checked(setting, message):
    with pytest.raises(AuditorError, match=message):
        LinearAuditor(**setting)


def test_malformed_input_is_refused():
    x, members = draw(2, 10, 3)
    with pytest.raises(AuditorError, match="expected scores"):
        LinearAuditor().fit(x[0], members)
    with pytest.raises(AuditorError, match="members must be 0"):
        LinearAuditor().fit(x, 2 * members - 1)
    with pytest.raises(AuditorError, match="weight has shape"):
        LinearAuditor().fit(x, members, torch.ones(10))
    with pytest.raises(AuditorError, match="weights must be >= 0"):
        LinearAuditor().fit(x, members, -torch.ones(2, 10))


def test_a_jammed_problem_starts_again_carefully() -> None:
    """With l1 and pairs of near twins some of these problems jam without the restart."""
    scores, members = draw(100, 14, 101)
    scores[:, 1::2] = scores[:, ::2] + 0.1 * scores[:, 1::2] + 0.3
    fit = LinearAuditor(penalty="l1", reg=1e-4).fit(scores, members)
    assert fit.converged.all()
    assert fit.iterations > PATIENCE, "none jammed: the test has lost its subject"
