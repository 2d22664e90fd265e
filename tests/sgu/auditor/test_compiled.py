"""The compiled path of the l1 hinge ends where that of `central_path` does."""

from __future__ import annotations

import pytest
import torch

from sgu.auditor import LinearAuditor, linear

pytest.importorskip("numba", reason="the compiled path is optional: pip install numba")


@pytest.mark.parametrize(("shape", "reg"), [((20, 60, 7), 1e-3), ((20, 14, 40), 1e-5)])
def test_compiled_and_batched_paths_end_alike(shape, reg, monkeypatch):
    """Padding, a problem of one side alone and one without examples included."""
    problems, n, _ = shape
    generator = torch.Generator().manual_seed(0)
    members = (torch.arange(n) % 2).expand(problems, n).clone()
    x = torch.randn(shape, generator=generator, dtype=torch.float64) + 0.3 * members[..., None]
    weight = (torch.rand(problems, n, generator=generator) > 0.2).double()
    weight[0], weight[1] = 0, members[1].double()
    auditor, answers = LinearAuditor(penalty="l1", reg=reg), []
    for compiled in (True, False):
        if not compiled:
            monkeypatch.setattr(linear, "find_spec", lambda _: None)
        scores = x.clone().requires_grad_()
        fit = auditor.fit(scores, members, weight)
        fit.decision(x).square().mean().backward()
        answers.append((fit.w, fit.b, fit.converged, scores.grad))
        assert fit.converged[2:].all()
    for ours, theirs in zip(*answers, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-7)


def test_where_nothing_can_be_kept_loops_are_compiled_all_the_same(monkeypatch):
    from sgu.auditor import compiled

    monkeypatch.setattr("numba.core.config.CACHE_LOCATOR_CLASSES", "IPythonCacheLocator")
    assert compiled.compiled(lambda number: number + 1)(1) == 2
