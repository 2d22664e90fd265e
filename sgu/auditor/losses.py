"""Losses as the complementary pairs of a primal-dual Newton system.

Each example adds  c_i loss(m_i)  with margin m_i; write  p_i = -loss'(m_i)  for its dual fraction
(dual_i = c_i p_i). On the central path of parameter mu,

    hinge          p s = mu, q xi = mu,  p + q = 1,  m - 1 = s - xi      (slack xi, surplus s)
    squared hinge  p s = mu,                         m - 1 = s - p/2     (slack p/2)
    logistic       p = 1 / (1 + exp m)                                   (smooth: no mu)

so a loss is a stack of complementary pairs (multiplier, slack), each of product mu, plus a smooth
give dm/dp. Kept with signs, (p, -s) and (-q, xi), all products are -mu, the multipliers of an
example all change by dp, and its slacks sum to 1 - m, give apart. Linearised around the current
pairs, with products to become `target`:

    dm = rho + slope dp,   slope = sum_k slack_k/multiplier_k - give = dm/dp = -1/D < 0,
    rho = sum_k (slack_k - target/multiplier_k)
    slack_k + dslack_k = target/multiplier_k - slack_k/multiplier_k dp

The l1 penalty is the hinge of d more margins, since |w| = 2 max(0, w) - w: margin 1 - 2 w.
Source of the path-following scheme: Mehrotra 1992; Nocedal & Wright, section 16.6.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import copy

import torch
from torch import Tensor

from sgu.host.devices import accelerated

Change = tuple[Tensor, Tensor]  # dp (problems, n), and the pairs after a full step


class Loss:
    """The pairs of (problems, n) margins under one loss, (2, k, problems, n): the multipliers and
    the slacks, with their signs.

    Padding needs no mask: its margin is 0, and its pairs follow their own path. paired: there are
    pairs at all.
    """

    paired = True

    def __init__(self, multiplier: Tensor, slack: Tensor):
        self.pairs = torch.stack([multiplier, slack])
        self.half = multiplier.new_full((), 0.5)

    @property
    def p(self) -> Tensor:
        """Return the dual fractions (problems, n)."""
        return self.pairs[0, 0]

    def slope(self) -> Tensor:
        """Return dm/dp; -1/slope multiplies A A' in the Newton matrix."""
        multiplier, slack = self.pairs
        self.ratio, self.short = slack / multiplier, _sum(slack)
        return _sum(self.ratio)

    def rho(self, target: Tensor | None = None) -> Tensor:
        """Return dm of no dp for a target (k, problems, n); None: 0."""
        if target is None:
            return self.short
        self.full = target / self.pairs[0]
        return self.short - _sum(self.full)

    def margin(self) -> Tensor:
        """Return the margins (problems, n) that the pairs stand for."""
        return 1 - _sum(self.pairs[1])

    def overshoot(self, dp: Tensor, apart: bool) -> Tensor:
        """Return how far a full step to the target 0 goes, in ways to the boundary (problems,); of
        multipliers and of slacks, (2, problems), where these go apart. With r = dp/multiplier they
        change by shares r and -1 - r, and max(-r, 1 + r) = 1/2 + |r + 1/2|.
        """
        if apart:
            r = dp / self.pairs[0]
            return torch.stack([-r.amin((0, 2)), 1 + r.amax((0, 2))])
        beyond = torch.addcdiv(self.half, dp, self.pairs[0])
        return largest(beyond) + 0.5

    def corrected(self, aim: Tensor, dp: Tensor) -> Tensor:
        """Return the target that makes up for the product of the changes towards the target 0.

        aim: (problems,), of the products, and negative as they are.
        """
        shorter = torch.addcmul(self.pairs[1], self.ratio, dp)  # -dslack
        return torch.addcmul(aim[:, None], shorter, dp)

    def direction(self, dp: Tensor) -> Change:
        """Return the full step to the target that `rho` was asked for."""
        after = torch.empty_like(self.pairs)
        torch.add(self.pairs[0], dp, out=after[0])
        torch.addcmul(self.full, self.ratio, dp, value=-1, out=after[1])
        return dp, after

    def overreach(self, change: Change, wall: float, apart: bool) -> Tensor:
        """Return how far a full step goes, in steps of `wall` ways to the boundary (problems,);
        apart: of the multipliers and of the slacks, (2, problems)."""
        left = (change[1] / self.pairs).amin((1, 3) if apart else (0, 1, 3))
        return torch.rsub(left, 1 / wall, alpha=1 / wall)

    def take(self, some: Tensor) -> Loss:
        """Return the pairs of the problems at the indices `some`."""
        part = copy(self)
        part.pairs = self.pairs[:, :, some]
        return part

    def put(self, some: Tensor, part: Loss) -> None:
        self.pairs[:, :, some] = part.pairs

    def products(self) -> Tensor:
        """Return multiplier * slack, (k, problems, n): -mu everywhere on the path."""
        return self.pairs[0] * self.pairs[1]

    def move(self, change: Change, step: Tensor) -> None:
        self.pairs = torch.lerp(self.pairs, change[1], step)


def largest(stack: Tensor) -> Tensor:
    """Return the largest absolute value of (k, problems, n), (problems,): one kernel on a GPU, and
    on a CPU a quarter of its time."""
    if accelerated(stack.device):
        return torch.linalg.vector_norm(stack, torch.inf, dim=(0, 2))
    return stack.abs().amax((0, 2))


def _sum(stack: Tensor) -> Tensor:
    return stack[0] if len(stack) == 1 else stack.sum(0)


class Hinge(Loss):
    def __init__(self, margin: Tensor, mu: float):
        half = (margin - 1) / 2
        mean = (half.square() + mu**2).sqrt() + mu
        slack = torch.stack([-half - mean, mean - half])  # -s and xi of the path's own point at mu
        super().__init__(-mu / slack, slack)


class SquaredHinge(Loss):
    def __init__(self, margin: Tensor, mu: float):
        gap = margin - 1
        s = (gap + (gap.square() + 2 * mu).sqrt())[None] / 2
        super().__init__(mu / s, -s)

    def slope(self) -> Tensor:
        return super().slope() - 0.5

    def margin(self) -> Tensor:
        return super().margin() - self.p / 2


class Logistic(Loss):
    """No pairs: p follows the margin, and steps are bounded instead.

    |loss'''| <= loss'' makes t = log(1 + r)/r with r = max |dm| a step that always descends
    (Bach 2010, self-concordant analysis for logistic regression); it tends to 1 near the optimum.
    """

    paired = False

    def __init__(self, margin: Tensor, mu: float):
        del mu
        self.pairs = margin[None, None]  # in their place, so that both move and split alike

    @property
    def p(self) -> Tensor:
        return torch.sigmoid(-self.pairs[0, 0])

    def margin(self) -> Tensor:
        return self.pairs[0, 0]

    def slope(self) -> Tensor:
        self.dm_dp = -2 - 2 * torch.cosh(self.pairs[0, 0])  # -1 / (p (1 - p))
        return self.dm_dp

    def rho(self, target: Tensor | None = None) -> Tensor:
        del target
        return torch.zeros_like(self.dm_dp)

    def overshoot(self, dp: Tensor, apart: bool) -> Tensor:
        del apart
        radius = (self.dm_dp * dp).abs().amax(1)
        return torch.where(radius > 1e-8, radius / torch.log1p(radius), 0)

    def corrected(self, aim: Tensor, dp: Tensor) -> Tensor:
        del dp
        return aim  # not read

    def direction(self, dp: Tensor) -> Change:
        return dp, self.pairs + self.dm_dp * dp

    def overreach(self, change: Change, wall: float, apart: bool) -> Tensor:
        del wall
        return self.overshoot(change[0], apart)


LOSSES: dict[str, Callable[[Tensor, float], Loss]] = {
    "hinge": Hinge,
    "squared_hinge": SquaredHinge,
    "logistic": Logistic,
}
