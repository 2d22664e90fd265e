"""Rounds of the auditor as graphs: CUDA's where there is a card, pretended ones elsewhere."""

from __future__ import annotations

import pytest
import torch
from test_engine import answer, draw

from sgu.auditor import LinearAuditor, linear
from sgu.auditor.central_path import PATIENCE


@pytest.fixture(autouse=True)
def _graphs(replays, monkeypatch) -> None:
    del replays
    linear._rounds.cache_clear()
    monkeypatch.setattr(linear, "replays", lambda _: True)


def plainly(auditor, *given, **more):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(linear, "replays", lambda _: False)
        return answer(auditor, *given, **more)


def agree(found, expected, rtol=1e-9) -> None:
    rtol = max(rtol, 1e-6) if found[0][1].device.type == "cuda" else rtol
    for (fit, slope), (other, other_slope) in zip(found, expected, strict=True):
        for name in ("w", "b", "dual"):
            first, second = getattr(fit, name), getattr(other, name)
            torch.testing.assert_close(first.cpu(), second.cpu(), rtol=rtol, atol=rtol / 100)
        torch.testing.assert_close(slope.cpu(), other_slope.cpu(), rtol=100 * rtol, atol=rtol / 100)
        assert fit.converged.tolist() == other.converged.tolist()
        assert fit.iterations == other.iterations


@pytest.mark.parametrize(
    ("loss", "penalty", "route"),
    [
        ("hinge", "l2", "primal"), ("hinge", "l1", "dual"), ("squared_hinge", "l1", "primal"),
        ("logistic", "l2", "dual"),
    ],
)  # fmt: skip
def test_rounds_answer_as_fits_do(loss, penalty, route, device, replays):
    """Three rounds, of other data each."""
    x, members = draw(4, 16, 4) if route == "primal" else draw(4, 8, 12)
    auditor = LinearAuditor(loss=loss, penalty=penalty, route=route, reg=0.1)
    rounds = [((x * (1 + k)).to(device), members.roll(k, 0).to(device)) for k in range(3)]
    found = [answer(auditor, *data) for data in rounds]
    assert replays.count >= 2 + 1  # the beginning from the second on, the end from the third on
    agree(found, [plainly(auditor, *data) for data in rounds])


def test_other_sizes_share_a_graph(device, replays):
    """All are padded to 24 examples."""
    auditor = LinearAuditor(reg=0.1)
    for n in (24, 17, 21):
        data = [t.to(device) for t in draw(3, n, 4)]
        agree([answer(auditor, *data)], [plainly(auditor, *data)], rtol=1e-6)
    assert linear._rounds.cache_info().misses == 1
    assert replays.count >= 3


def test_fits_before_one_backward_pass(device):
    x, members = (t.to(device) for t in draw(3, 16, 4))

    def slopes() -> list[torch.Tensor]:
        leaves = [(x + 0.1 * k).requires_grad_() for k in range(3)]
        fits = [LinearAuditor(reg=0.1).fit(leaf, members) for leaf in leaves]
        sum((fit.decision(x) - k).square().mean() for k, fit in enumerate(fits)).backward()
        return [leaf.grad.cpu() for leaf in leaves]

    found = slopes()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(linear, "replays", lambda _: False)
        torch.testing.assert_close(found, slopes(), rtol=1e-7, atol=1e-12)


def test_warm_starts_and_other_shapes_in_between(device):
    auditor = LinearAuditor(reg=0.1)
    start = found = None
    for k in range(3):
        x, members = (t.to(device) for t in draw(3, 16, 4))
        found = answer(auditor, x + 0.01 * k, members, start=start)
        answer(auditor, *(t.to(device) for t in draw(2, 9 + k, 3)))
        agree([found], [plainly(auditor, x + 0.01 * k, members, start=start)])
        start = found[0]


def test_stubborn_problems_go_on_alone(device):
    """They start again, carefully, after PATIENCE iterations."""
    strict = LinearAuditor(reg=0.1, tolerance=1e-30, max_iterations=33)  # none arrives
    x, members = (t.to(device) for t in draw(2, 16, 4))
    for k in range(3):
        found = answer(strict, x + k, members)
        agree([found], [plainly(strict, x + k, members)])
        assert found[0].iterations > PATIENCE
