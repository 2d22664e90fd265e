"""Newton steps along the central path, for all problems of a batch at once.

State and steps of the interior-point method: theta, the complementary pairs of the loss and of the
l1 penalty (`losses`), and the linear system that moves them together (`systems`).
Source of the steps: Mehrotra 1992, On the implementation of a primal-dual interior point method.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from sgu.auditor.losses import Change, Hinge, Loss
from sgu.auditor.systems import Coordinates, System

TO_THE_WALL = 0.995  # share of the way to the boundary that one step may go, at the least
LONELY = 0.75  # unsolved problems go on alone once they are fewer than this share
PATIENCE = 30  # iterations after which a problem (one of 1,000 to 10,000) starts again, carefully
CAREFUL = 0.2, 0.9  # then: share of the products to aim at, and of the way to the boundary


@dataclass(frozen=True)
class End:
    """The objective of a path, and its end: all products within `tolerance` of mu = `smoothing`."""

    loss: Callable[[Tensor, float], Loss]
    l1: bool
    smoothing: float
    tolerance: float


class Path:
    """A batch of problems near their central paths.

    theta = (u, b); u = w, or with the kernel's coordinates w = z'u. losses: the examples' loss and,
    with l1, the penalty's hinge.
    """

    def __init__(
        self,
        end: End,
        route: Callable[[Any, Tensor, Tensor, Tensor], System],
        at: Coordinates,
        y: Tensor,
        c: Tensor,
        reg: Tensor,
    ) -> None:
        self.end, self.route, self.at = end, route, at
        self.y, self.c, self.reg = y, c, reg
        self.per_c = torch.where(c > 0, 1 / c, 0)

    def take(self, some: Tensor) -> Path:
        """Return the problems at the indices `some`, to go on with alone."""
        sides = self.y[some], self.c[some], self.reg[some]
        part = Path(self.end, self.route, self.at.take(some), *sides)
        part.resume(self.theta[some], [loss.take(some) for loss in self.losses], self.stuck[some])
        return part

    def put(self, some: Tensor, part: Path) -> None:
        """Take over the state of `part`, the problems at the indices `some`."""
        if part is self:
            return
        self.theta[some], self.stuck[some] = part.theta, part.stuck
        for loss, new in zip(self.losses, part.losses, strict=True):
            loss.put(some, new)

    def enter(self, theta: Tensor, mu: float) -> None:
        """Start at theta with the exact pairs of the central path at mu."""
        w, mu = theta[:, :-1], max(mu, self.end.smoothing)
        margin = self.y * (self.at.forward(w) - theta[:, -1:])
        kinks = [Hinge(1 - 2 * w, mu)] if self.end.l1 else []
        stuck = torch.zeros_like(theta[:, 0], dtype=torch.bool)
        self.resume(theta, [self.end.loss(margin, mu), *kinks], stuck)

    def resume(self, theta: Tensor, losses: list[Loss], stuck: Tensor) -> None:
        self.theta, self.losses, self.loss, self.stuck = theta, losses, losses[0], stuck
        self.look()

    def look(self) -> None:
        """Update the stationarity residual g = -dL/dtheta, and which problems have arrived."""
        w, pull = self.theta[:, :-1], self.c * self.loss.p * self.y
        slope = self.reg * (2 * self.losses[1].p - 1) if self.end.l1 else self.reg * w
        self.g = torch.cat([self.at.adjoint(pull) - slope, -pull.sum(1, keepdim=True)], -1)
        self.residual = self.g.abs().amax(1)
        mu, tolerance = self.end.smoothing, self.end.tolerance
        off = [(loss.products() - mu).abs().sum(0).amax(1) for loss in self.losses]
        on_target = torch.stack(off).amax(0) <= min(tolerance, mu / 2)
        self.arrived = (self.residual <= tolerance) & on_target

    def factor(self, stiffest: float = torch.inf) -> None:
        """Factor the Newton matrix; `stiffest` bounds the loss's D and the l1 penalty's 1/D."""
        D, E = self.c * self.loss.curvature().clamp(max=stiffest), self.reg
        if self.end.l1:
            E = 4 * self.reg * self.losses[1].curvature().clamp(min=1 / stiffest)
        self.system: System = self.route(self.at, self.y, D, E)
        self.stuck = self.stuck | self.system.singular

    def newton(self, targets: list[Tensor]) -> tuple[Tensor, list[Change], Tensor]:
        """Return the change of theta, that of each loss's pairs, and how far both may go."""
        g = self.g
        if self.end.l1:
            kinks = self.losses[1]
            D, rho = kinks.curvature(), kinks.rho(targets[1])
            g = torch.cat([g[:, :-1] - 2 * self.reg * D * rho, g[:, -1:]], -1)
        dtheta, ddual = self.system.solve(g, self.loss.rho(targets[0]))
        changes = [self.loss.direction(targets[0], ddual * self.per_c)]
        if self.end.l1:
            changes.append(kinks.direction(targets[1], D * (rho + 2 * dtheta[:, :-1])))
        reach = [loss.reach(change) for loss, change in zip(self.losses, changes, strict=True)]
        return dtheta, changes, torch.stack(reach).amin(0)

    def advance(self, careful: bool = False) -> None:
        """Take one Newton step in every problem that has not arrived.

        It is Mehrotra's predictor and corrector, or, if careful, a short step towards a fifth of
        the products, which never jams at the boundary and takes twice as many iterations.
        """
        self.factor()
        mu, goal = self.mean_product(), self.theta.new_tensor(self.end.smoothing)
        if careful:
            share, wall = CAREFUL[0], torch.full_like(mu, CAREFUL[1])
            targets = [torch.maximum(share * mu, goal)[:, None] for _ in self.losses]
        else:
            wall = (1 - mu).clamp(min=TO_THE_WALL)  # at the end nearly all the way: superlinear
            _, changes, reach = self.newton([goal for _ in self.losses])
            after = self.mean_product(changes, (wall * reach).clamp(max=1))
            aim = torch.maximum((after / mu).clamp(0, 1) ** 4 * mu, goal)[:, None]
            targets = [aim - dm * ds for dm, ds in changes]
        dtheta, changes, reach = self.newton(targets)
        step = torch.where(self.arrived | self.stuck, 0, (wall * reach).clamp(max=1))
        self.theta = self.theta + step[:, None] * dtheta
        for loss, change in zip(self.losses, changes, strict=True):
            loss.move(change, step)
        self.look()

    def mean_product(
        self, changes: list[Change] | None = None, step: Tensor | float = 0.0
    ) -> Tensor:
        """Return the mean of multiplier * slack (problems,), now or after a step by `changes`."""
        pairs = [
            loss.products() if changes is None else loss.products_after(changes[i], step)
            for i, loss in enumerate(self.losses)
        ]
        count = sum(pair.shape[0] * pair.shape[2] for pair in pairs)
        return torch.stack([pair.sum((0, 2)) for pair in pairs]).sum(0) / max(count, 1)


def follow(path: Path, most: int) -> int:
    """Take every problem to its path's end; return the iterations of the slowest.

    Once a quarter of the problems under way has arrived, the rest go on alone.
    """
    indices, part, iterations = torch.arange(len(path.theta), device=path.theta.device), path, 0
    while iterations < most:
        going = ~(part.arrived | part.stuck)
        count = int(going.sum())
        if count == 0:
            break
        if count < LONELY * len(going) or iterations == PATIENCE:
            path.put(indices, part)
            indices = indices[going]
            part = path.take(indices)
        if iterations == PATIENCE:
            part.enter(torch.zeros_like(part.theta), 1.0)
        part.advance(careful=iterations >= PATIENCE)
        iterations += 1
    path.put(indices, part)
    return iterations
