"""The linear auditor: exact best responses of a whole batch of problems, and their derivative.

For every problem of the batch (one fold of one class, say) minimise over theta = (w, b)

    reg R(w) + sum_i c_i loss(m_i),       m_i = y_i (w.x_i - b) = A_i . theta

by a primal-dual interior-point method (predictor-corrector; `central_path` takes the steps,
`losses` holds the pairs, `systems` the Newton matrix) that runs all problems at once and follows
the central path down to mu = `smoothing`. There the stationarity condition

    F(theta, X) = reg R'(w) - sum_i dual_i A_i = 0

has the Jacobian H = reg R'' + sum_i D_i A_i A_i', the Newton matrix itself, so by the implicit
function theorem the gradient of any U(theta) costs one more solve:

    v = H^-1 dU/dtheta,     dU/dx_i = dual_i y_i v_w - D_i (A_i . v) y_i w

`dual_i` and -D_i (A_i . v) come out of that solve, so `backward` is one product.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache, partial
from importlib.util import find_spec
from typing import Any, Literal

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from sgu.auditor.base import (
    AuditorError,
    LinearFit,
    Problem,
    check_linear,
    pose,
    roomy,
    widened,
)
from sgu.auditor.central_path import PATIENCE, End, Path, follow
from sgu.auditor.losses import LOSSES
from sgu.auditor.rounds import Rounds
from sgu.auditor.systems import Coordinates, DualSystem, Features, Kernel, PrimalSystem, System
from sgu.host.replay import replays

STIFFEST = 1e8  # of the curvatures in the gradient: kinks stay kinks, rounding stays small
WARM_MU = 0.1  # a warm start re-enters the path here: any lower and it is no longer central


@dataclass(frozen=True, kw_only=True)
class LinearAuditor:
    """Batched exact linear auditor.

    loss: hinge (the paper's), squared_hinge, logistic; penalty: l2 = |w|^2/2, l1 = |w|_1;
    reg: its weight, > 0; smoothing: mu, where the central path ends: the objective is within
    2 mu (1 + d reg) of its minimum, and the gradient is that of the smoothed problem;
    route: primal ((d+1) x (d+1) systems), dual (n x n), or auto, the smaller. The larger
    may lose its rank with l1, and is then flagged; l1 gradients hold 5 digits by the dual route.
    dtype: float32 needs smoothing >= 1e-6, tolerance >= 1e-5; measured at (150, 140, 11): w is then
    3e-5 off, the gradient 1 % in the median and 17 % in one problem of twenty.
    A problem that misses `tolerance` within `max_iterations`, or whose Newton matrix turns
    singular, is flagged in `LinearFit.converged`; it answers w = 0, b = 0 and passes no gradient.
    """

    loss: Literal["hinge", "squared_hinge", "logistic"] = "hinge"
    penalty: Literal["l2", "l1"] = "l2"
    reg: float = 1e-2
    smoothing: float = 1e-12
    tolerance: float = 1e-9
    max_iterations: int = 90
    route: Literal["auto", "primal", "dual"] = "auto"
    dtype: torch.dtype = torch.float64

    def __post_init__(self) -> None:
        check_linear(self.loss, self.penalty, self.reg)
        if not self.smoothing > 0:
            raise AuditorError(f"smoothing = {self.smoothing}: must be > 0, such as 1e-12")

    def fit(
        self,
        scores: Tensor,
        members: Tensor,
        weight: Tensor | None = None,
        start: LinearFit | None = None,
    ) -> LinearFit:
        """Return the best responses to scores (problems, n, d); members: (problems, n) in {0, 1}.

        weight: (problems, n) >= 0, 0 = padding, normalised to sum 1 a problem; start: an earlier
        fit of as many problems, to start from. Raises AuditorError on malformed input.
        """
        problem = pose(scores, members, weight, self.dtype)
        x = scores.to(self.dtype) if scores.requires_grad else problem.x
        if replays(x.device):
            problem = roomy(problem)
        solution = _solve(self, problem, start)
        w, b = _BestResponse.apply(x, problem, solution)
        return LinearFit(
            w=w,
            b=b,
            dual=solution.dual[:, : x.shape[1]],
            converged=solution.converged & ~problem.void,
            void=problem.void,
            residual=solution.residual,
            iterations=solution.iterations,
        )


class _Solution:
    """The solution in the coordinates z = (x - mean)/scale, where w = w_z/scale."""

    w: Tensor  # (problems, d), of z
    b: Tensor  # (problems,), of z
    dual: Tensor
    residual: Tensor
    converged: Tensor
    iterations: int
    system: System
    features: Features
    mean: Tensor
    scale: Tensor


class _BestResponse(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, problem: Problem, solution: _Solution
    ) -> tuple[Tensor, Tensor]:
        # `problem` holds x, checked; it is an argument for autograd's sake
        ctx.solution, ctx.problem, ctx.n = solution, problem, x.shape[1]
        w = solution.w / solution.scale
        return w, solution.b + (w * solution.mean).sum(1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_w: Tensor, grad_b: Tensor) -> tuple[Tensor | None, ...]:
        s, y = ctx.solution, ctx.problem.y
        blocked = (~s.converged | ctx.problem.void)[:, None, None]
        g = torch.cat([(grad_w + s.mean * grad_b[:, None]) / s.scale, grad_b[:, None]], -1)
        v, dp = s.system.solve(g, torch.zeros_like(y), s.features)
        left = y[..., None] * torch.stack([s.dual, ctx.problem.c * dp], -1)
        right = torch.stack([v[:, :-1], s.w], 1) / s.scale[:, None]
        left, right = (side.masked_fill(blocked, 0) for side in (left, right))
        return (left @ right)[:, : ctx.n], None, None


def _standardise(x: Tensor, y: Tensor, c: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return A of centred and scaled problems, the means and the scales, which change nothing: b
    absorbs the one, reg the other."""
    mean = torch.bmm(c[:, None], x)[:, 0]
    z = x - mean[:, None]
    power = (c * torch.linalg.vector_norm(z, dim=2) ** 2).sum(1, keepdim=True) / x.shape[2]
    floor = (mean.square().mean(1, keepdim=True)) * torch.finfo(x.dtype).eps ** 2
    scale = power.masked_fill(power <= floor, 1).sqrt()
    A = x.new_empty(*x.shape[:2], x.shape[2] + 1)
    torch.mul(z, (y / scale)[..., None], out=A[..., :-1])
    A[..., -1] = -y  # 0 for padding, as c is
    return A, mean, scale


@torch.no_grad()
def _solve(auditor: LinearAuditor, problem: Problem, start: LinearFit | None) -> _Solution:
    tensors, device = [problem.x, problem.y, problem.c], problem.x.device
    if start is not None:
        dual = widened(start.dual) if replays(device) else start.dual
        tensors += [start.w.detach(), start.b.detach(), dual, start.void]
    if replays(device) and auditor.max_iterations >= PATIENCE:
        return _rounds(auditor, device, *(tensor.shape for tensor in tensors))(*tensors)
    path, out = _begin(auditor, *tensors)
    fused = _fused(path, min(auditor.max_iterations, PATIENCE))
    out.iterations = follow(path, auditor.max_iterations, fused)
    return _end(path, out)


def _fused(path: Path, most: int) -> int:
    """Go along the path by compiled loops, where these are for it; return the iterations."""
    on_cpu = path.theta.device.type == "cpu" and path.theta.dtype == torch.float64
    if not (path.apart and on_cpu and find_spec("numba")):
        return 0
    from sgu.auditor import compiled  # loads numba

    return compiled.follow(path, most)


@lru_cache(maxsize=4)  # each keeps the memory of a path
def _rounds(auditor: LinearAuditor, device: torch.device, *shapes: torch.Size) -> Rounds:
    del shapes  # a key
    return Rounds(partial(_begin, auditor), _end, auditor.max_iterations, device)


def _begin(
    auditor: LinearAuditor, x: Tensor, y: Tensor, c: Tensor, *start: Tensor
) -> tuple[Path, _Solution]:
    """Return the problems at the beginning of their paths, and what is known of their solution;
    start: w, b, dual and void of an earlier fit."""
    out = _Solution()
    A, out.mean, out.scale = _standardise(x, y, c)
    l1, (n, d) = auditor.penalty == "l1", x.shape[1:]
    out.features = Features(A, c)
    dual = auditor.route == "dual" or (auditor.route == "auto" and n < d)
    route: Any = DualSystem if dual else PrimalSystem
    kernel = dual and not l1
    at: Coordinates = Kernel.of(out.features) if kernel else out.features
    reg = auditor.reg / (out.scale if l1 else out.scale.square())
    end = End(LOSSES[auditor.loss], l1, auditor.smoothing, auditor.tolerance)
    path = Path(end, route, at, reg)
    if start:
        path.enter(_warm(reg, out, kernel, *start), WARM_MU)
    else:
        path.enter(A.new_zeros(len(A), (n if kernel else d) + 1), 1.0)
    return path, out


def _end(path: Path, out: _Solution) -> _Solution:
    """Fill in the solution from the end of its path."""
    path.factor(STIFFEST)
    out.residual, out.converged = path.residual, path.arrived & (path.system.factor.singular == 0)
    theta = torch.where(out.converged[:, None], path.theta, 0)
    kernel = isinstance(path.at, Kernel)
    out.w = out.features.adjoint(theta[:, :-1])[:, :-1] if kernel else theta[:, :-1]
    out.b, out.dual, out.system = theta[:, -1], out.features.c * path.loss.p, path.system
    return out


def _warm(
    reg: Tensor, out: _Solution, kernel: bool, w: Tensor, b: Tensor, dual: Tensor, void: Tensor
) -> Tensor:
    """Return the earlier fit in this path's coordinates; void problems start from 0."""
    u = dual / reg if kernel else w * out.scale
    b = b - (w * out.mean).sum(1)
    return torch.where(void[:, None], 0, torch.cat([u, b[:, None]], -1))
