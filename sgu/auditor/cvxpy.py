"""The auditor's problem stated in CVXPY and differentiated by cvxpylayers, in readable form.

It is the oracle of the linear engine's tests. Users state auditors of their own with it, as a
function from a `Statement` to the expression to minimise:

    def elastic_net(s: Statement):
        size = cp.sum_squares(s.w) / 2 + cp.norm1(s.w)
        return 0.01 * size + s.c @ cp.pos(1 - s.margin)

    auditor = CvxpyAuditor(objective=elastic_net)

A problem is canonicalised once for each shape (n, d), then solved for whole batches.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from sgu.auditor.base import AuditorError, Hyperplanes, check_linear, pose


class SolverFailed(RuntimeError):
    """The convex solver gave up on a problem of a batch; the message says what to try."""


@dataclass(frozen=True, kw_only=True)
class Statement:
    """The CVXPY variables and parameters that an objective is stated with.

    w: (d,) and b: () variables; margin: (n,) y_i (w.x_i - b), a variable tied to them, so that any
    product with c stays within CVXPY's rules for parameters; c: (n,) parameter, the weights of the
    examples: >= 0, sum 1, 0 = padding, so every example's loss must be multiplied by its own.
    """

    w: Any
    b: Any
    margin: Any
    c: Any


Objective = Callable[[Statement], Any]


@dataclass(frozen=True, kw_only=True)
class CvxpyAuditor:
    """A linear auditor solved by cvxpylayers (SCS on the CPU, about 1e-8 of the optimum).

    loss, penalty, reg: as in `LinearAuditor`; objective: replaces all three, and must be convex and
    have one minimiser, or the gradient means nothing; solver_args: options of the solver.
    `fit` raises SolverFailed if the solver gives up; it returns no unfinished answer.
    """

    loss: str = "hinge"
    penalty: str = "l2"
    reg: float = 1e-2
    objective: Objective | None = None
    solver_args: dict[str, Any] = field(default_factory=lambda: {"eps": 1e-9, "max_iters": 100_000})
    _layers: dict[tuple[int, int], Any] = field(default_factory=dict, repr=False, compare=False)

    def __post_init__(self) -> None:
        check_linear(self.loss, self.penalty, self.reg)

    def fit(
        self, scores: Tensor, members: Tensor, weight: Tensor | None = None, start: Any = None
    ) -> Hyperplanes:
        """Return the best responses as `LinearAuditor.fit` does; `start` is not used."""
        del start
        problem = pose(scores, members, weight, torch.float64)
        x = problem.x
        some = (~problem.void).nonzero()[:, 0]
        w, b = x.new_zeros(len(x), x.shape[2]), x.new_zeros(len(x))
        if len(some):
            y = problem.y[some]
            w_some, b_some = self._solve(y[..., None] * x[some], y, problem.c[some])
            w, b = w.index_put((some,), w_some), b.index_put((some,), b_some)
        return Hyperplanes(w=w, b=b, converged=~problem.void, void=problem.void)

    def _solve(self, yx: Tensor, y: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        layer = self._layer(yx.shape[1], yx.shape[2])
        from diffcp import SolverError

        try:
            w, b = layer(yx.cpu(), y.cpu(), c.cpu(), solver_args=self.solver_args)
        except (SolverError, RuntimeError) as error:
            raise SolverFailed(
                f"the solver gave up on a batch of {len(yx)} problems of {tuple(yx.shape[1:])} "
                f"({error}): raise max_iters or eps in solver_args, or scale the scores"
            ) from error
        return w.to(yx), b.to(yx)

    def _layer(self, n: int, d: int) -> Any:
        """Return the differentiable layer for a shape; its parameters are y_i x_i, y_i and c_i."""
        if (n, d) in self._layers:
            return self._layers[n, d]
        cp, CvxpyLayer = _cvxpy()
        yx, y, c = cp.Parameter((n, d)), cp.Parameter(n), cp.Parameter(n, nonneg=True)
        s = Statement(w=cp.Variable(d), b=cp.Variable(), margin=cp.Variable(n), c=c)
        objective = self.objective or self._objective
        tied = [s.margin == yx @ s.w - y * s.b]
        problem = cp.Problem(cp.Minimize(objective(s)), tied)
        if not problem.is_dcp(dpp=True):
            raise AuditorError(
                "the objective is not convex in w, b, margin by CVXPY's rules with c a parameter "
                "(problem.is_dcp(dpp=True) is False): see CVXPY's guide to DPP"
            )
        layer = CvxpyLayer(problem, parameters=[yx, y, c], variables=[s.w, s.b])
        return self._layers.setdefault((n, d), layer)

    def _objective(self, s: Statement) -> Any:
        cp, _ = _cvxpy()
        return self.reg * PENALTIES[self.penalty](cp, s.w) + s.c @ LOSSES[self.loss](cp, s.margin)


PENALTIES: dict[str, Callable[[Any, Any], Any]] = {
    "l2": lambda cp, w: cp.sum_squares(w) / 2,
    "l1": lambda cp, w: cp.norm1(w),
}
LOSSES: dict[str, Callable[[Any, Any], Any]] = {
    "hinge": lambda cp, margin: cp.pos(1 - margin),
    "squared_hinge": lambda cp, margin: cp.square(cp.pos(1 - margin)),
    "logistic": lambda cp, margin: cp.logistic(-margin),
}


def _cvxpy() -> tuple[Any, Any]:
    """Return the two packages, which only this auditor needs."""
    try:
        import cvxpy
        from cvxpylayers.torch import CvxpyLayer
    except ImportError as error:
        raise ImportError(
            f"CvxpyAuditor needs the package {error.name}: install cvxpy and cvxpylayers, "
            "or use LinearAuditor, which needs neither"
        ) from error
    return cvxpy, CvxpyLayer
