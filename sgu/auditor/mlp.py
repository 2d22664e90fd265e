"""A small neural auditor: f(x) = a . tanh(W x + u) + t, one network for each problem.

Each network is trained on all data of its problem to a stationary point of

    L(theta, x) = sum_i c_i log(1 + exp(-y_i f(x_i))) + reg |theta|^2 / 2,     theta = (W, u, a, t)

by Levenberg-Marquardt steps  (H + damp I) step = -g  for all problems at once. At the end
F = dL/dtheta = 0, so by the implicit function theorem

    (H + damping I) v = dU/dtheta,     dU/dx = -d/dx (v . F(theta, x))

The Hessian is exact. With h = tanh(W x + u), x~ = (x, 1), J_i = df_i/dtheta, r_i = dL/df_i and
D_i = d2L/df_i^2, H = sum_i D_i J_i J_i^T + r_i d2f_i + reg I, and d2f_i couples the weights
w_k = (W_k, u_k) and a_k of each unit k alone:

    d2f / dw_k dw_k = -2 a_k h_k (1 - h_k^2) x~ x~^T,     d2f / dw_k da_k = (1 - h_k^2) x~

The game is no longer convex: the stationary point depends on `seed`, and the derivative belongs to
this one alone. Source: the paper's open question 3 (arXiv 2406.07687); Lorraine et al. 2020.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.func import grad
from torch.nn import functional as F

from sgu.auditor.base import AuditorError, Problem, pose
from sgu.host.devices import accelerated

LOOK_EVERY = 2  # steps between two looks of a GPU's host at the residuals, each of which waits


@dataclass(frozen=True, kw_only=True)
class MLPAuditor:
    """Batched tanh networks with an implicit gradient.

    hidden: units; reg: weight of |theta|^2/2, biases included, > 0; damping: added to the Hessian
    in the gradient, where it trades bias for stability; tolerance: of the stationarity (infinity
    norm); steps: the most Levenberg-Marquardt steps; seed: of the initial weights, the same for
    every problem. A problem that misses its tolerance is flagged in `MLPFit.converged`; it answers
    0 and passes no gradient.
    """

    hidden: int = 8
    reg: float = 1e-2
    damping: float = 1e-8
    tolerance: float = 1e-7
    steps: int = 200
    seed: int = 0

    def __post_init__(self) -> None:
        if not (self.hidden >= 1 and self.reg > 0 and self.damping >= 0):
            raise AuditorError(f"need hidden >= 1, reg > 0 and damping >= 0, got {self}")

    def fit(
        self,
        scores: Tensor,
        members: Tensor,
        weight: Tensor | None = None,
        start: MLPFit | None = None,
    ) -> MLPFit:
        """Return stationary auditors of scores (problems, n, d); arguments as in LinearAuditor."""
        problem = pose(scores, members, weight, torch.float64)
        x = problem.x
        mean = torch.einsum("pn,pnd->pd", problem.c, x)[:, None]
        spread = torch.einsum("pn,pnd->pd", problem.c, (x - mean) ** 2)[:, None]
        scale = torch.where(spread > 1e-12 * (1 + mean**2), spread, 1).sqrt()
        theta = start.theta.detach() if start is not None else self._initial(x)
        training = _Training(self, problem)
        theta = _Stationary.apply((x - mean) / scale, theta, training)
        return MLPFit(
            theta=theta, mean=mean, scale=scale, hidden=self.hidden, void=problem.void,
            residual=training.residual, converged=training.converged,
        )  # fmt: skip

    def _initial(self, x: Tensor) -> Tensor:
        generator, d = torch.Generator().manual_seed(self.seed), x.shape[2]
        size = self.hidden * (d + 2) + 1
        theta = torch.randn(size, generator=generator, dtype=torch.float64) / d**0.5
        return theta.to(x.device).repeat(len(x), 1)


@dataclass(frozen=True, kw_only=True)
class MLPFit:
    """Trained auditors. theta: (problems, hidden (d + 2) + 1), differentiable in the scores.

    residual: (problems,) infinity norm of the stationarity; converged, void: (problems,) bool.
    """

    theta: Tensor
    mean: Tensor
    scale: Tensor
    hidden: int
    residual: Tensor
    converged: Tensor
    void: Tensor

    def decision(self, scores: Tensor) -> Tensor:
        """Return signed decisions (problems, k) for other scores (problems, k, d)."""
        z = (scores.to(self.theta.dtype) - self.mean) / self.scale
        return network(self.theta, z, self.hidden)


def parts(theta: Tensor, d: int, hidden: int) -> list[Tensor]:
    """Return W (problems, hidden, d), u and a (problems, hidden) and t (problems, 1)."""
    W, u, a, t = theta.split([hidden * d, hidden, hidden, 1], 1)
    return [W.view(len(theta), hidden, d), u, a, t]


def hidden_units(theta: Tensor, z: Tensor, hidden: int) -> Tensor:
    """Return h, (problems, n, hidden), of z (problems, n, d)."""
    W, u, _, _ = parts(theta, z.shape[2], hidden)
    return torch.tanh(z @ W.mT + u[:, None])


def network(theta: Tensor, z: Tensor, hidden: int) -> Tensor:
    """Return f, (problems, n), of z (problems, n, d)."""
    _, _, a, t = parts(theta, z.shape[2], hidden)
    return (hidden_units(theta, z, hidden) @ a[..., None])[..., 0] + t


class Inputs(NamedTuple):
    """z (problems, n, d); x~ = (z, 1), for each unit, (problems, hidden, n, d + 1); and where the
    (w_k, a_k) = (W_k, u_k, a_k) of each unit lie in theta, (hidden, d + 2)."""

    z: Tensor
    units: Tensor
    places: Tensor

    @classmethod
    def of(cls, z: Tensor, hidden: int) -> Inputs:
        (_, _, d), k = z.shape, torch.arange(hidden, device=z.device)[:, None]
        whole = torch.cat([z, torch.ones_like(z[..., :1])], 2)
        W = d * k + torch.arange(d, device=z.device)
        places = torch.cat([W, hidden * d + k, hidden * (d + 1) + k], 1)
        return cls(z, whole[:, None].expand(-1, hidden, -1, -1).contiguous(), places)


def _solved(H: Tensor, damp: Tensor | float, right: Tensor) -> Tensor:
    """Return (H + damp I)^-1 right, (problems, size)."""
    damped = H.clone()
    damped.diagonal(dim1=1, dim2=2).add_(damp)
    solution: Tensor = torch.linalg.solve(damped, right)
    return solution


class Expansion(NamedTuple):
    """L (problems,), F = dL/dtheta (problems, size) and H (problems, size, size)."""

    loss: Tensor
    slope: Tensor
    hessian: Tensor

    def where(self, chosen: Tensor, other: Expansion) -> Expansion:
        """Return this one's values for the problems that are `chosen`, else those of the other."""
        pairs = zip(self, other, strict=True)
        shaped = (chosen.view(-1, *[1] * (ours.ndim - 1)) for ours in self)
        return Expansion(*(torch.where(c, *p) for c, p in zip(shaped, pairs, strict=True)))


class _Training:
    """The objective of a batch, and the residuals of its training."""

    def __init__(self, auditor: MLPAuditor, problem: Problem):
        self.auditor, self.problem = auditor, problem
        self.residual = torch.full_like(problem.c[:, 0], torch.nan)
        self.converged = ~problem.void
        self.opposite, self.one = -problem.y, problem.y.new_ones(())

    def loss(self, theta: Tensor, z: Tensor) -> Tensor:
        """Return L, (problems,)."""
        margin = self.problem.y * network(theta, z, self.auditor.hidden)
        size = theta.square().sum(1) / 2
        return (self.problem.c * F.softplus(-margin)).sum(1) + self.auditor.reg * size

    def slope(self, theta: Tensor, z: Tensor) -> Tensor:
        """Return F = dL/dtheta: problems share nothing, so it is one gradient of their sum."""
        return grad(lambda t: self.loss(t, z).sum())(theta)

    def expansion(self, theta: Tensor, inputs: Inputs) -> Expansion:
        """Return L, F and H, from one pass through the network."""
        (z, x1, at), k, reg = inputs, self.auditor.hidden, self.auditor.reg
        d, c, y = z.shape[2], self.problem.c, self.opposite
        _, _, a, t = parts(theta, d, k)
        h = hidden_units(theta, z, k)
        bend = torch.addcmul(self.one, h, h, value=-1)
        away = y * (torch.bmm(h, a[..., None])[..., 0] + t)  # -m
        p = away.sigmoid()
        cp = c * p
        r, D = y * cp, torch.addcmul(cp, cp, p, value=-1)
        w = (a[:, None] * bend).mT[..., None] * x1  # df/dw, (problems, k, n, d + 1)
        rows = w.transpose(1, 2)
        J = torch.cat([rows[..., :d].flatten(2), rows[..., d], h, x1[:, 0, :, d:]], 2)
        H = J.mT @ (D[..., None] * J)
        bent = torch.cat([w * (-2 * h).mT[..., None], bend.mT[..., None]], 3)
        block = F.pad((x1 * r[:, None, :, None]).mT @ bent, (0, 0, 0, 1))  # of w_k with w_k and a_k
        block[:, :, -1, :-1] = block[:, :, :-1, -1]
        H[:, at[:, :, None], at[:, None]] += block
        H.diagonal(dim1=1, dim2=2).add_(reg)
        loss = (c * F.softplus(away)).sum(1)
        loss = torch.add(loss, theta.square().sum(1), alpha=reg / 2)
        return Expansion(loss, torch.add((r[:, None] @ J)[:, 0], theta, alpha=reg), H)

    def train(self, theta: Tensor, z: Tensor) -> Tensor:
        """Return trained weights: Levenberg-Marquardt, damped less after a descent, else more."""
        inputs, damp = Inputs.of(z, self.auditor.hidden), torch.ones_like(theta[:, :1])
        now, less, more = (
            self.expansion(theta, inputs),
            damp.new_full((), 0.2),
            damp.new_full((), 4),
        )
        every = LOOK_EVERY if accelerated(z.device) else 1
        for number in range(self.auditor.steps):
            if number % every == 0 and bool(now.slope.abs().amax() <= self.auditor.tolerance):
                break
            moved = theta - _solved(now.hessian, damp, now.slope)
            there = self.expansion(moved, inputs)
            better = (there.loss <= now.loss)[:, None]
            theta = torch.where(better, moved, theta)
            now = there.where(better, now)
            damp = (damp * torch.where(better, less, more)).clamp(1e-9, 1e6)
        self.residual = now.slope.abs().amax(1)
        self.converged = self.converged & (self.residual <= self.auditor.tolerance)
        return torch.where(self.converged[:, None], theta, 0)


class _Stationary(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, z: Tensor, theta: Tensor, training: _Training) -> Tensor:
        ctx.z, ctx.training = z.detach(), training
        ctx.theta = training.train(theta, ctx.z)
        return ctx.theta.clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_theta: Tensor) -> tuple[Tensor, None, None]:
        training, theta, z = ctx.training, ctx.theta, ctx.z
        right = torch.where(training.converged[:, None], grad_theta, 0)
        H = training.expansion(theta, Inputs.of(z, training.auditor.hidden)).hessian
        v = _solved(H, training.auditor.damping, right)
        with torch.enable_grad():
            return -grad(lambda at: (v * training.slope(theta, at)).sum())(z), None, None
