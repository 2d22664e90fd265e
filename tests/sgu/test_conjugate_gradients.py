"""Conjugate gradients against dense solutions, on one system and on a batch."""

from __future__ import annotations

import torch
from torch import Tensor

from sgu.conjugate_gradients import conjugate_gradients


def systems(problems: int, size: int) -> tuple[Tensor, Tensor]:
    """Positive definite matrices (problems, size, size) and right sides (problems, size)."""
    generator = torch.Generator().manual_seed(0)
    root = torch.randn(problems, size, size, generator=generator, dtype=torch.float64)
    right = torch.randn(problems, size, generator=generator, dtype=torch.float64)
    return root @ root.mT + torch.eye(size, dtype=torch.float64), right


def test_a_batch_is_solved_and_its_problems_stop_apart():
    """The fourth problem has a right side of 0, the fifth a direction of negative curvature."""
    H, right = systems(5, 6)
    right[3], H[4] = 0, -H[4]
    x = conjugate_gradients(lambda v: (H @ v[..., None])[..., 0], right, 50, 1e-12)
    torch.testing.assert_close(x[:3], torch.linalg.solve(H[:3], right[:3]))
    residual = (H @ x[..., None])[..., 0] - right
    assert (residual.norm(dim=1)[:3] < 1e-10 * right.norm(dim=1)[:3]).all()
    assert (x[3:] == 0).all()


def test_one_system_is_solved_and_stopped_before_it_still_descends():
    (H,), (b,) = systems(1, 20)
    products: list[Tensor] = []
    x = conjugate_gradients(lambda v: products.append(v) or H @ v, b, 500, 1e-8)
    torch.testing.assert_close(x, torch.linalg.solve(H, b), rtol=1e-6, atol=1e-8)
    assert 20 <= len(products) < 60
    parts = [conjugate_gradients(H.mv, b, steps, 1e-8) for steps in range(1, 6)]
    values = [x @ H @ x / 2 - b @ x for x in parts]
    assert values == sorted(values, reverse=True)
    assert values[0] < 0
    assert torch.equal(conjugate_gradients(H.mv, 0 * b, 5, 1e-8), 0 * b)


def test_what_is_no_number_is_not_hidden():
    (H,), (b,) = systems(1, 5)
    b[2] = torch.nan
    assert conjugate_gradients(H.mv, b, 5, 1e-8).isnan().all()
