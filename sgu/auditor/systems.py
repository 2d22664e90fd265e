"""The two routes to one linear system, and the coordinates they work in.

With A_i = y_i [z_i, -1], the examples' weights c and slopes dm/dp < 0 (problems, n) and the
penalty's diagonal E (problems, d) or (problems, 1), every Newton step and the implicit gradient
solve, for dtheta = (dw, db) and the dual fractions' change dp,

    diag(E, 0) dtheta - A' c dp = g          (stationarity)
    A dtheta - slope dp         = rho        (each example's own condition)
"""

from __future__ import annotations

from functools import cached_property, lru_cache

import torch
from torch import Tensor

from sgu.host.devices import accelerated


def inverse_where_used(c: Tensor) -> Tensor:
    """Return 1/c, and 0 for padding."""
    return torch.where(c > 0, 1 / c, 0)


class Features:
    """theta = (w, b): A, (problems, n, d + 1), itself. `forward` gives A theta, `adjoint` A' r,
    `pull` A' c p, and `gram` A E^-1 A' for E (problems, d + 1)."""

    def __init__(self, A: Tensor, c: Tensor):
        self.A, self.c, self.y = A, c, -A[..., -1]
        self.tall = A.shape[1] > A.shape[2]

    def take(self, some: Tensor) -> Features:
        return Features(self.A[some], self.c[some])

    @cached_property
    def per_c(self) -> Tensor:
        return inverse_where_used(self.c)

    @cached_property
    def weighted(self) -> Tensor:
        """Return c A."""
        return self.c[..., None] * self.A

    @cached_property
    def across(self) -> Tensor:
        """Return A', contiguous: with d << n, products with it are 5 times as fast on a CPU."""
        return self.A.mT.contiguous()

    @cached_property
    def hold(self) -> Tensor:
        """Return a Newton matrix of nothing but a 1 for the b of problems without an example."""
        hold = self.A.new_zeros(len(self.A), *[self.A.shape[2]] * 2)
        hold[:, -1, -1] = (self.c == 0).all(1)
        return hold

    def forward(self, theta: Tensor) -> Tensor:
        if self.tall:
            return torch.bmm(theta[:, None], self.across)[:, 0]
        return torch.bmm(self.A, theta[..., None])[..., 0]

    def excess(self, theta: Tensor, rho: Tensor) -> Tensor:
        """Return A theta - rho."""
        if self.tall:
            return torch.baddbmm(rho[:, None], theta[:, None], self.across, beta=-1)[:, 0]
        return self.forward(theta) - rho

    def adjoint(self, r: Tensor) -> Tensor:
        return torch.bmm(r[:, None], self.A)[:, 0]

    def pull(self, p: Tensor) -> Tensor:
        if self.tall:
            return torch.bmm(p[:, None], self.weighted)[:, 0]
        return self.adjoint(self.c * p)

    def gram(self, E: Tensor) -> Tensor:
        half = self.A * E.rsqrt()[:, None]
        return half @ half.mT


class Kernel:
    """theta = (u, b) with w = sum_i u_i y_i z_i (representer theorem, l2 only): all operations are
    n long at most. K: y_i y_j z_i.z_j, (problems, n, n)."""

    def __init__(self, K: Tensor, y: Tensor, c: Tensor):
        self.K, self.y, self.c = K, y, c
        self.kept: Tensor | None = None

    @classmethod
    def of(cls, features: Features) -> Kernel:
        z = features.A[..., :-1]
        return cls(z @ z.mT, features.y, features.c)

    def take(self, some: Tensor) -> Kernel:
        return Kernel(self.K[some], self.y[some], self.c[some])

    @cached_property
    def per_c(self) -> Tensor:
        return inverse_where_used(self.c)

    def forward(self, theta: Tensor) -> Tensor:
        return torch.bmm(self.K, theta[:, :-1, None])[..., 0] - self.y * theta[:, -1:]

    def excess(self, theta: Tensor, rho: Tensor) -> Tensor:
        return self.forward(theta) - rho

    def adjoint(self, r: Tensor) -> Tensor:
        return torch.cat([r, -(self.y * r).sum(1, keepdim=True)], -1)

    def pull(self, p: Tensor) -> Tensor:
        return self.adjoint(self.c * p)

    def gram(self, E: Tensor) -> Tensor:
        if self.kept is None:  # with l2, E is the same in all steps
            self.kept = (self.K + self.y[:, :, None] * self.y[:, None]) / E[..., None]
        return self.kept


Coordinates = Features | Kernel


class Factor:
    """The Cholesky factor of positive definite matrices (problems, n, n). On a GPU it is inverted,
    so that a solve is two small products: `cholesky_solve` waits for the device there.

    broken: nonzero where the factorisation stopped, (problems,).
    """

    def __init__(self, matrix: Tensor):
        factor, self.broken = torch.linalg.cholesky_ex(matrix)
        self.factor, self.inverse = factor, None
        if accelerated(matrix.device):
            eye = _eye(matrix.shape[1], matrix.dtype, matrix.device).expand_as(matrix)
            self.inverse = torch.linalg.solve_triangular(factor, eye, upper=False)

    @property
    def singular(self) -> Tensor:
        """Return what is nonzero or NaN where a matrix is not positive definite, (problems,).

        cuSOLVER does not stop at NaN, which goes on to the last diagonal entry.
        """
        return torch.add(self.broken, self.factor[:, -1, -1], alpha=0)

    def solve(self, right: Tensor) -> Tensor:
        """Return the solution for right-hand sides (problems, n)."""
        if self.inverse is None:
            return torch.cholesky_solve(right[..., None], self.factor)[..., 0]
        return torch.bmm(torch.bmm(right[:, None], self.inverse.mT), self.inverse)[:, 0]


@lru_cache
def _eye(n: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    return torch.eye(n, dtype=dtype, device=device)


class PrimalSystem:
    """Eliminate dp:  H dtheta = g - A' c rho/slope,  H = diag(E, 0) - A' c A/slope,  d + 1 wide."""

    def __init__(self, at: Features, slope: Tensor, E: Tensor):
        self.at, self.slope = at, slope
        self.pulled = at.weighted / slope[..., None]
        H = torch.baddbmm(at.hold, self.pulled.mT, at.A, alpha=-1)
        H.diagonal(dim1=1, dim2=2)[:, :-1].add_(E)
        self.factor = Factor(H)

    def solve(self, g: Tensor, rho: Tensor, at: Features | None = None) -> tuple[Tensor, Tensor]:
        """Return dtheta (problems, d+1) and dp (problems, n), for g and rho of these shapes."""
        del at
        right = torch.baddbmm(g[:, None], rho[:, None], self.pulled, alpha=-1)
        dtheta = self.factor.solve(right[:, 0])
        return dtheta, self.at.excess(dtheta, rho) / self.slope


class DualSystem:
    """Eliminate dtheta:  (1/(cD) + A E^-1 A') c dp - y db = rho - A E^-1 g,  D = -1/slope,  with db
    beside that which E = min E for b too gives, so that y' c dp = g_b.

    Scaled by sqrt(cD), so that padding (c = 0) drops out and the matrix stays well posed while D
    runs over ten decades; n x n, for n < d. E for b changes nothing where y' c dp = g_b, and the
    direction that only b can hold (a linear programme's last one) keeps its rank.
    """

    def __init__(self, at: Coordinates, slope: Tensor, E: Tensor):
        self.at, self.root = at, (at.c / -slope).sqrt()
        self.E = E if E.shape[1] == 1 else torch.cat([E, E.amin(1, keepdim=True)], -1)
        M = self.root[:, :, None] * at.gram(self.E) * self.root[:, None]
        M.diagonal(dim1=1, dim2=2).add_(1)
        self.factor, self.r = Factor(M), self.root * at.y
        self.Mr = self.factor.solve(self.r)
        rMr = (self.r * self.Mr).sum(1, keepdim=True)
        self.per_b = torch.where(rMr > 0, 1 / rMr, 0)  # no used example: b is held still

    def solve(self, g: Tensor, rho: Tensor, at: Coordinates | None = None) -> tuple[Tensor, Tensor]:
        """Solve as in `PrimalSystem`; `at` gives g in other coordinates of the same examples."""
        at = at or self.at
        g_w, g_b = g[:, :-1], g[:, -1:]
        u = self.factor.solve(self.root * -at.excess(g / self.E, rho))
        db = (g_b - (self.r * u).sum(1, keepdim=True)) * self.per_b
        pull = self.root * (u + db * self.Mr)
        dw = (g_w + at.adjoint(pull)[:, :-1]) / self.E[:, : g_w.shape[1]]
        return torch.cat([dw, db], -1), pull * at.per_c


System = PrimalSystem | DualSystem
