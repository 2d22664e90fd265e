"""Conjugate gradients for one positive definite system, or for a batch of them at once."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

Product = Callable[[Tensor], Tensor]


def conjugate_gradients(product: Product, right: Tensor, steps: int, tolerance: float) -> Tensor:
    """Return x with product(x) = right, of the same shape: (size,), or (problems, size).

    A problem stops after `steps`, at `tolerance` (the residual's norm in that of `right`), or where
    the curvature along its direction is not positive. With H the matrix, x then still lowers
    x'Hx/2 - right'x, and is shorter than the solution. A NaN in `right` comes out as NaN.
    """
    x, r, p = torch.zeros_like(right), right, right
    rr = _inner(r, r)
    enough, done = tolerance**2 * rr, torch.zeros_like(rr, dtype=torch.bool)
    for _ in range(steps):
        done = done | (rr <= enough)
        if bool(done.all()):
            break
        Hp = product(p)
        curvature = _inner(p, Hp)
        done = done | (curvature <= 0)
        length = torch.where(done, 0, rr / curvature)
        x, r = x + length * p, r - length * Hp
        before, rr = rr, torch.where(done, rr, _inner(r, r))
        p = r + torch.where(done, 0, rr / before) * p
    return x


def _inner(a: Tensor, b: Tensor) -> Tensor:
    """Return a'b: a scalar, or (problems, 1)."""
    return a @ b if a.ndim == 1 else (a * b).sum(1, keepdim=True)
