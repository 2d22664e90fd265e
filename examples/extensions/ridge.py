"""Least squares with a penalty: an example of an auditor in one file.

    min over (w, b) of  sum_i c_i (w.x_i - b - y_i)^2 + reg |w|^2

has the solution (A'CA + reg I_w)^-1 A'Cy with A = (X, -1), which autograd differentiates.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from sgu.auditor.base import Hyperplanes, check_linear, pose


@dataclass(frozen=True, kw_only=True)
class RidgeAuditor:
    """reg: weight of the penalty, > 0."""

    reg: float = 1e-2

    def __post_init__(self) -> None:
        check_linear("hinge", "l2", self.reg)  # of the three, reg alone is its own

    def fit(
        self, scores: Tensor, members: Tensor, weight: Tensor | None = None, start: Any = None
    ) -> Hyperplanes:  # start: an earlier fit, which a closed form has no use for
        """Return the best responses to scores (problems, n, d) with members (problems, n), 1 for an
        example from forget. `pose` checks the arguments and drops the padding."""
        problem = pose(scores, members, weight, torch.float64)
        A = torch.cat([problem.x, -torch.ones_like(problem.x[..., :1])], -1)
        AC = A.mT * problem.c[:, None, :]
        penalty = self.reg * torch.eye(A.shape[-1], dtype=A.dtype, device=A.device)
        penalty[-1, -1] = 0
        H = AC @ A + penalty + torch.diag_embed(problem.void[:, None] * torch.ones_like(A[:, 0]))
        theta = torch.linalg.solve(H, AC @ problem.y[..., None]).squeeze(-1)
        solved = theta.isfinite().all(-1)
        return Hyperplanes(w=theta[:, :-1], b=theta[:, -1], converged=solved, void=problem.void)
