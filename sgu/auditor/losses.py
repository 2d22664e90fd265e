"""Losses as the complementary pairs of a primal-dual Newton system.

Each example adds  c_i loss(m_i)  with margin m_i; write  p_i = -loss'(m_i)  for its dual fraction
(dual_i = c_i p_i). On the central path of parameter mu,

    hinge          p s = mu, q xi = mu,  p + q = 1,  m - 1 = s - xi      (slack xi, surplus s)
    squared hinge  p s = mu,                         m - 1 = s - p/2     (slack p/2)
    logistic       p = 1 / (1 + exp m)                                   (smooth: no mu)

so a loss is a stack of complementary pairs (multiplier, slack), each of product mu, plus a smooth
give dm/dp. Linearised around the current pairs, with sign +1 for p and -1 for q:

    dp = D (rho - dm),   1/D = sum_k slack_k/multiplier_k + give,
    rho = sum_k sign_k (target_k/multiplier_k - slack_k)

The l1 penalty is the hinge of d more margins, since |w| = 2 max(0, w) - w: margin 1 - 2 w.
Source of the path-following scheme: Mehrotra 1992; Nocedal & Wright, section 16.6.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import copy

import torch
from torch import Tensor

Target = Tensor | float
Change = tuple[Tensor, Tensor]  # of multiplier and slack


class Loss:
    """The pairs of (problems, n) margins under one loss, stacked along a first axis of length k.

    Padding needs no mask: with dp = 0 its products go to the target and never block a step.
    """

    def __init__(self, multiplier: Tensor, slack: Tensor, sign: tuple[int, ...]):
        self.multiplier, self.slack = multiplier, slack
        self.sign = multiplier.new_tensor(sign).view(-1, 1, 1)

    @property
    def p(self) -> Tensor:
        """Return the dual fractions (problems, n)."""
        return self.multiplier[0]

    def give(self) -> Tensor | float:
        """Return the smooth part of -dm/dp."""
        return 0.0

    def curvature(self) -> Tensor:
        """Return D = -dp/dm, which multiplies A A' in the Newton matrix."""
        return 1 / ((self.slack / self.multiplier).sum(0) + self.give())

    def rho(self, target: Target) -> Tensor:
        return (self.sign * (target / self.multiplier - self.slack)).sum(0)

    def direction(self, target: Target, dp: Tensor) -> Change:
        """Return the Newton changes of (multiplier, slack) that go with a change dp."""
        change = self.sign * dp
        return change, (target - self.slack * change) / self.multiplier - self.slack

    def reach(self, change: Change) -> Tensor:
        """Return the longest step (problems,) that keeps every multiplier and slack >= 0."""
        d_multiplier, d_slack = change
        rate = torch.minimum(d_multiplier / self.multiplier, d_slack / self.slack).amin((0, 2))
        return -1 / rate.clamp_max(-1e-3)

    def take(self, some: Tensor) -> Loss:
        """Return the pairs of the problems at the indices `some`."""
        part = copy(self)
        part.multiplier, part.slack = self.multiplier[:, some], self.slack[:, some]
        return part

    def put(self, some: Tensor, part: Loss) -> None:
        self.multiplier[:, some], self.slack[:, some] = part.multiplier, part.slack

    def products(self) -> Tensor:
        """Return multiplier * slack, (k, problems, n): mu everywhere on the path."""
        return self.multiplier * self.slack

    def products_after(self, change: Change, step: Tensor | float) -> Tensor:
        step = torch.as_tensor(step)[..., None]
        return (self.multiplier + step * change[0]) * (self.slack + step * change[1])

    def move(self, change: Change, step: Tensor) -> None:
        self.multiplier = self.multiplier + step[:, None] * change[0]
        self.slack = self.slack + step[:, None] * change[1]


class Hinge(Loss):
    def __init__(self, margin: Tensor, mu: float):
        gap = margin - 1
        root = torch.hypot(gap, gap.new_tensor(2 * mu))
        slack = torch.stack([root + gap, root - gap]) / 2 + mu  # the path's own point at mu
        super().__init__(mu / slack, slack, (1, -1))


class SquaredHinge(Loss):
    def __init__(self, margin: Tensor, mu: float):
        gap = margin - 1
        slack = (gap + torch.hypot(gap, gap.new_tensor((2 * mu) ** 0.5)))[None] / 2
        super().__init__(mu / slack, slack, (1,))

    def give(self) -> float:
        return 0.5


class Logistic(Loss):
    """No pairs: p follows the margin, and steps are bounded instead.

    |loss'''| <= loss'' makes t = log(1 + r)/r with r = max |dm| a step that always descends
    (Bach 2010, self-concordant analysis for logistic regression); it tends to 1 near the optimum.
    """

    def __init__(self, margin: Tensor, mu: float):
        del mu
        super().__init__(margin.new_empty((0, *margin.shape)), margin[None], ())

    @property
    def margin(self) -> Tensor:
        """Return the margin; it is kept in the slack's place, so that both move and split alike."""
        return self.slack[0]

    @property
    def p(self) -> Tensor:
        return torch.sigmoid(-self.margin)

    def give(self) -> Tensor:
        return 2 + 2 * torch.cosh(self.margin)  # 1 / (p (1 - p))

    def direction(self, target: Target, dp: Tensor) -> Change:
        del target
        return self.multiplier, -(self.give() * dp)[None]

    def reach(self, change: Change) -> Tensor:
        radius = change[1].abs().amax((0, 2))
        return torch.where(radius > 1e-8, torch.log1p(radius) / radius, torch.inf)


LOSSES: dict[str, Callable[[Tensor, float], Loss]] = {
    "hinge": Hinge,
    "squared_hinge": SquaredHinge,
    "logistic": Logistic,
}
