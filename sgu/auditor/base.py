"""The problem that every auditor takes, the answers it gives, and the settings it refuses."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

LOSSES = "hinge", "squared_hinge", "logistic"
PENALTIES = "l2", "l1"


class AuditorError(ValueError):
    """The auditor's problem is badly posed; the message says what to do."""


def check_linear(loss: str, penalty: str, reg: float) -> None:
    """Raise AuditorError for an unknown loss or penalty, or a best response that is not unique."""
    if loss not in LOSSES or penalty not in PENALTIES:
        raise AuditorError(
            f"loss {loss!r} with penalty {penalty!r}: "
            f"losses are {', '.join(LOSSES)}; penalties are {', '.join(PENALTIES)}"
        )
    if not reg > 0:
        raise AuditorError(
            f"reg = {reg}: must be > 0. Without regularisation separable sets have no unique best "
            "response, so no gradient; the authors' setting is penalty='l1' with a small reg such "
            "as 1e-3"
        )


@dataclass(frozen=True, kw_only=True)
class Problem:
    """A checked, padded batch of auditor problems: the examples x, their signs and weights.

    x: (problems, n, d) scores; y: (problems, n), +1 = member (from forget), -1 = held out,
    0 = padding;
    c: (problems, n) loss weights that sum to 1 in each problem, 0 = padding;
    void: (problems,) True where members or non-members are missing. A void problem has no best
    response: its weights are all 0, its fit is w = 0, b = 0, and no gradient passes through it.
    """

    x: Tensor
    y: Tensor
    c: Tensor
    void: Tensor


def pose(scores: Tensor, members: Tensor, weight: Tensor | None, dtype: torch.dtype) -> Problem:
    """Check the arguments of `fit` and return them as a `Problem`.

    Raises AuditorError on wrong shapes, labels other than 0 and 1, negative weights, and NaN or
    infinite scores outside the padding.
    """
    if scores.ndim != 3 or members.shape != scores.shape[:2]:
        raise AuditorError(
            f"expected scores (problems, n, d) and members (problems, n); "
            f"got {tuple(scores.shape)} and {tuple(members.shape)}"
        )
    if weight is not None and weight.shape != members.shape:
        raise AuditorError(
            f"weight has shape {tuple(weight.shape)}; give one weight an example, "
            f"{tuple(members.shape)}"
        )
    x, y = scores.to(dtype), 2 * members.to(dtype) - 1
    checks = [] if members.dtype == torch.bool else [(y.square() == 1).all()]
    if weight is not None:
        weight = weight.to(dtype)
        used = weight > 0
        x, y = torch.where(used[..., None], x, 0), torch.where(used, y, 0)
        checks.append((weight >= 0).all())
    checks.append(x.sum().isfinite())  # a sum is one quick pass
    if not torch.stack(checks).all():  # one synchronisation for all three
        _explain(x, members)
    void = y.amax(1) - y.amin(1) < 2
    if weight is None:
        c = torch.full_like(y, 1 / max(y.shape[1], 1))
    else:
        c = weight / weight.sum(1, keepdim=True).clamp_min(torch.finfo(dtype).tiny)
    return Problem(x=x, y=y, c=c.masked_fill_(void[:, None], 0), void=void)


def roomy(problem: Problem) -> Problem:
    """Return the problem, padded to one of few sizes, so that graphs of rounds are found again."""
    x = widened(problem.x.mT).mT.contiguous()
    return replace(problem, x=x, y=widened(problem.y), c=widened(problem.c))


def widened(values: Tensor) -> Tensor:
    """Return (..., n) with zeros up to a multiple of 8, or of 32 beyond 64."""
    n = values.shape[-1]
    return F.pad(values, (0, -n % (8 if n <= 64 else 32)))


def _explain(x: Tensor, members: Tensor) -> None:
    if not ((members == 0) | (members == 1)).all():
        raise AuditorError("members must be 0 (held out) or 1 (from forget); got other values")
    if not x.isfinite().all():
        bad = int((~x.isfinite()).any(-1).sum())
        raise AuditorError(
            f"{bad} of {x.shape[0] * x.shape[1]} examples have NaN or infinite scores: "
            "the network has diverged; lower its learning rate or alpha"
        )
    raise AuditorError("weights must be >= 0 (0 = padding); got negative or NaN weights")


@dataclass(frozen=True, kw_only=True)
class Hyperplanes:
    """Best responses w.x - b of a batch of linear auditors; > 0 says member.

    w: (problems, d), b: (problems,): differentiable in the scores they were fitted on;
    converged, void: (problems,) bool.
    """

    w: Tensor
    b: Tensor
    converged: Tensor
    void: Tensor

    def decision(self, scores: Tensor) -> Tensor:
        """Return signed decisions (problems, k) for other scores (problems, k, d)."""
        x = scores.to(self.w.dtype)
        return torch.einsum("pkd,pd->pk", x, self.w) - self.b[:, None]


@dataclass(frozen=True, kw_only=True)
class LinearFit(Hyperplanes):
    """Hyperplanes with the certificate of their optimality.

    dual: (problems, n), -c_i loss'(m_i), 0 for padding; residual: (problems,) infinity norm of the
    stationarity condition; iterations: of the batch.
    """

    dual: Tensor
    residual: Tensor
    iterations: int


class Fit(Protocol):
    """A fitted auditor, as far as the game needs it."""

    @property
    def converged(self) -> Tensor: ...

    def decision(self, scores: Tensor) -> Tensor: ...


class Auditor(Protocol):
    """Anything that answers a batch of scores with a differentiable best response."""

    def fit(
        self, scores: Tensor, members: Tensor, weight: Tensor | None = None, start: Any = None
    ) -> Fit: ...
