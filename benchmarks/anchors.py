"""The auditor's problem (l2 hinge, reg 1e-2) by other differentiable solvers, for `auditor.py`.

    pip install qpth qpax jax moreau

Each is an auditor with `fit(scores, members)`, made for one shape. With v = (w, b, xi) and rows
A_i = y_i [x_i, -1], the quadratic programme is

    minimise reg/2 |w|^2 + mean(xi)   subject to   -A (w, b) - xi <= -1,   -xi <= 0
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from sgu.auditor import CvxpyAuditor, Hyperplanes

REG = 1e-2
RIDGE = 1e-7  # of b and xi, for qpth, which wants a positive definite matrix


class Anchor:
    """A solver of the programme as an auditor: `solve` takes A (problems, n, d + 1) to v."""

    def __init__(self, solve: Callable[[Tensor], Tensor]):
        self.solve = solve

    def fit(self, scores: Tensor, members: Tensor) -> Hyperplanes:
        y = 2.0 * members - 1
        v = self.solve(torch.cat([y[..., None] * scores, -y[..., None]], -1))
        d, sound = scores.shape[2], v.detach().isfinite().all(1)
        return Hyperplanes(w=v[:, :d], b=v[:, d], converged=sound, void=~sound)


def programme(A: Tensor) -> tuple[Tensor, ...]:
    """Return Q, q, G and h of the programme; only G has a batch."""
    n, d = A.shape[1], A.shape[2] - 1
    Q = torch.diag(torch.tensor([REG] * d + [0.0] * (n + 1), dtype=A.dtype))
    q = torch.tensor([0.0] * (d + 1) + [1 / n] * n, dtype=A.dtype)
    eye = torch.eye(n, dtype=A.dtype).expand(len(A), n, n)
    G = torch.cat([torch.cat([-A, -eye], 2), F.pad(-eye, (d + 1, 0))], 1)
    return Q, q, G, torch.tensor([-1.0] * n + [0.0] * n, dtype=A.dtype)


def by_qpth(A: Tensor) -> Tensor:
    from qpth.qp import QPFunction

    Q, q, G, h = programme(A)
    Q = Q + torch.diag((Q.diagonal() == 0) * RIDGE)
    none = torch.empty(0, dtype=A.dtype)
    return QPFunction(verbose=-1, check_Q_spd=False)(Q, q, G, h, none, none)


class _ByQpax(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, G: Tensor, Q: Tensor, q: Tensor, h: Tensor) -> Tensor:
        arrays = (tensor.detach().numpy() for tensor in (G, Q, q, h))
        v, ctx.pull = _qpax_solver()(*arrays)
        return torch.from_dlpack(v).clone()

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        import jax

        (pulled,) = jax.jit(lambda pull, g: pull(g))(ctx.pull, grads[0].contiguous().numpy())
        return torch.from_dlpack(pulled).clone(), None, None, None


@lru_cache
def _qpax_solver() -> Any:
    """Return the compiled solver: it gives v, and the function from dU/dv to dU/dG."""
    import jax
    import jax.numpy as jnp
    import qpax

    jax.config.update("jax_enable_x64", True)

    def solve(G: Any, Q: Any, q: Any, h: Any) -> Any:
        none = jnp.zeros((0, len(q))), jnp.zeros(0)
        one = lambda G: qpax.solve_qp_primal(Q, q, *none, G, h, solver_tol=1e-8, target_kappa=1e-8)  # noqa: E731
        return jax.vjp(jax.vmap(one), G)

    return jax.jit(solve)


def by_qpax(A: Tensor) -> Tensor:
    Q, q, G, h = programme(A)
    return _ByQpax.apply(G, Q, q, h)


def by_moreau(solver: str) -> Callable[[Tensor], Tensor]:
    """Return Moreau's own interface, by its solver `ipm`, `active_set` or `auto`."""

    def solve(A: Tensor) -> Tensor:
        Q, q, G, h = programme(A)
        used = G[0] != 0
        P_values = Q.diagonal()[Q.diagonal() != 0].expand(len(A), -1)
        batch = (P_values, G[:, used], q.expand(len(A), -1), h.expand(len(A), -1))
        return _moreau_solver(solver, *A.shape).solve(*batch).x

    return solve


@lru_cache
def _moreau_solver(solver: str, problems: int, n: int, wide: int) -> Any:
    import moreau
    from moreau.torch import Solver

    Q, _, G, h = programme(torch.ones(1, n, wide, dtype=torch.float64))
    rows = [part for matrix in (Q, G[0]) for part in _csr(matrix)]
    settings = moreau.Settings(device="cpu", batch_size=problems, enable_grad=True, solver=solver)
    return Solver(len(Q), len(h), *rows, moreau.Cones(num_nonneg_cones=len(h)), settings)


def _csr(matrix: Tensor) -> tuple[Tensor, Tensor]:
    sparse = matrix.to_sparse_csr()
    return sparse.crow_indices(), sparse.col_indices()


class MoreauLayer(CvxpyAuditor):
    """The cached layer of `CvxpyAuditor`, solved by Moreau."""

    def _layer(self, n: int, d: int) -> Any:
        if (n, d) not in self._layers:
            import cvxpylayers.torch as layers

            plain = layers.CvxpyLayer
            layers.CvxpyLayer = lambda *args, **more: plain(
                *args, **more, solver="MOREAU", solver_args=self.solver_args
            )
            try:
                super()._layer(n, d)
            finally:
                layers.CvxpyLayer = plain
        return self._layers[n, d]


def anchors() -> Iterator[tuple[str, Any, int]]:
    """Yield the name, the auditor, and how many problems to time, of each that is installed."""
    offered = [
        ("qpth", ("qpth",), lambda: Anchor(by_qpth), 150),
        ("qpax", ("qpax", "jax"), lambda: Anchor(by_qpax), 150),
        ("moreau, auto", ("moreau",), lambda: Anchor(by_moreau("auto")), 1500),
        ("moreau, ipm", ("moreau",), lambda: Anchor(by_moreau("ipm")), 1500),
        ("moreau in cvxpylayers", ("moreau", "cvxpylayers"), lambda: MoreauLayer(
            solver_args={"solver": "ipm"}), 1500),
    ]  # fmt: skip
    for name, packages, make, most in offered:
        missing = [package for package in packages if not find_spec(package)]
        if missing:
            print(f"{name} is left out: pip install {' '.join(missing)}")
        else:
            yield name, make(), most
