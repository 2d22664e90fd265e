"""The two routes to one linear system, and the coordinates they work in.

With A_i = y_i [z_i, -1], curvatures D (problems, n) and the penalty's diagonal E (problems, d)
or (problems, 1), every Newton step and the implicit gradient solve, for dtheta = (dw, db) and
ddual,

    diag(E, 0) dtheta - A' ddual = g          (stationarity)
    A dtheta + ddual / D         = rho        (each example's own condition)
"""

from __future__ import annotations

from functools import cached_property

import torch
from torch import Tensor


class Features:
    """u = w: the examples z (problems, n, d) themselves."""

    def __init__(self, z: Tensor):
        self.z = z

    def take(self, some: Tensor) -> Features:
        return Features(self.z[some])

    @cached_property
    def whole(self) -> Features:
        """Return [z, -1] (problems, n, d+1): A_i without its sign."""
        return Features(torch.cat([self.z, -torch.ones_like(self.z[..., :1])], -1))

    @cached_property
    def across(self) -> Tensor:
        """Return z' (problems, d, n), contiguous: with d << n, `forward` is 5 times as fast."""
        return self.z.mT.contiguous()

    def forward(self, u: Tensor) -> Tensor:
        if self.z.shape[1] < self.z.shape[2]:
            return torch.bmm(self.z, u[..., None])[..., 0]
        return torch.bmm(u[:, None], self.across)[:, 0]

    def adjoint(self, r: Tensor) -> Tensor:
        return torch.bmm(r[:, None], self.z)[:, 0]

    def gram(self, r: Tensor, E: Tensor) -> Tensor:
        E = torch.cat([E.expand(-1, self.z.shape[2]), E.amin(1, keepdim=True)], -1)
        half = r[..., None] * (self.whole.z / E.sqrt()[:, None])
        return half @ half.mT


class Kernel:
    """u = a with w = z'a (representer theorem, l2 only): all operations are n long at most."""

    def __init__(self, K: Tensor):
        self.K, self.stiff_K = K, K + 1

    def take(self, some: Tensor) -> Kernel:
        return Kernel(self.K[some])

    def forward(self, u: Tensor) -> Tensor:
        return torch.bmm(self.K, u[..., None])[..., 0]

    def adjoint(self, r: Tensor) -> Tensor:
        return r

    def gram(self, r: Tensor, E: Tensor) -> Tensor:
        half = r / E.sqrt()
        return half[..., None] * self.stiff_K * half[:, None]


# `forward` gives z.w of each example, `adjoint` is its transpose,
# `gram` is diag(r) (Z E^-1 Z' + stiff) diag(r) with stiff = max 1/E
Coordinates = Features | Kernel


def _factor(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """Return Cholesky factors, and (problems,) True where a matrix is not positive definite."""
    factor, info = torch.linalg.cholesky_ex(matrix)
    return factor, info > 0


class PrimalSystem:
    """Eliminate ddual:  H dtheta = g + A' D rho,  H = diag(E, 0) + A' D A,  (d+1) x (d+1)."""

    def __init__(self, at: Features, y: Tensor, D: Tensor, E: Tensor):
        A = at.whole.z
        void = D.sum(1, keepdim=True) == 0  # no used example: b is held still
        H = (D[..., None] * A).mT @ A  # y_i^2 = 1
        H.diagonal(dim1=1, dim2=2).add_(torch.cat([E.expand(-1, A.shape[2] - 1), void.to(E)], -1))
        self.A, self.y, self.D = at.whole, y, D
        self.factor, self.singular = _factor(H)

    def solve(self, g: Tensor, rho: Tensor, at: Features | None = None) -> tuple[Tensor, Tensor]:
        """Return dtheta (problems, d+1) and ddual (problems, n), for g and rho of these shapes."""
        del at
        right = g + self.A.adjoint(self.y * self.D * rho)
        dtheta = torch.cholesky_solve(right[..., None], self.factor)[..., 0]
        return dtheta, self.D * (rho - self.y * self.A.forward(dtheta))


class DualSystem:
    """Eliminate dw:  (1/D + K) ddual - y db = rho - Z g_w / E,  y'ddual = g_b,  K = Z E^-1 Z'.

    Scaled by sqrt(D), so that padding (D = 0) drops out and the matrix I + sqrt(D) K sqrt(D)
    stays well posed while D runs over ten decades; n x n, for n < d. stiff r r' with r = sqrt(D) y
    is added to it, and stiff g_b r to the right: nothing changes where y'ddual = g_b, and the
    direction that only b can hold (a linear programme's last one) keeps its rank.
    """

    def __init__(self, at: Coordinates, y: Tensor, D: Tensor, E: Tensor):
        self.at, self.y, self.E, self.root = at, y, E, D.sqrt()
        self.r = self.root * y
        self.stiff = 1 / E.amin(1)
        M = at.gram(self.r, E)
        M.diagonal(dim1=1, dim2=2).add_(1)
        self.factor, self.singular = _factor(M)
        self.Mr = self._inverse(self.root * y)
        rMr = (self.r * self.Mr).sum(1)
        self.per_b = torch.where(rMr > 0, 1 / rMr, 0)  # no used example: b is held still

    def _inverse(self, right: Tensor) -> Tensor:
        return torch.cholesky_solve(right[..., None], self.factor)[..., 0]

    def solve(self, g: Tensor, rho: Tensor, at: Coordinates | None = None) -> tuple[Tensor, Tensor]:
        """Solve as in `PrimalSystem`; `at` gives g in other coordinates of the same examples."""
        at = at or self.at
        g_w, g_b = g[:, :-1], g[:, -1]
        hold = (self.stiff * g_b)[:, None]
        u = self._inverse(self.root * rho + self.r * (hold - at.forward(g_w / self.E)))
        db = (g_b - (self.r * u).sum(1)) * self.per_b
        ddual = self.root * (u + db[:, None] * self.Mr)
        dw = (g_w + at.adjoint(self.y * ddual)) / self.E
        return torch.cat([dw, db[:, None]], -1), ddual


System = PrimalSystem | DualSystem
