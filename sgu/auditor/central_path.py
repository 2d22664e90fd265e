"""Newton steps along the central path, for all problems of a batch at once.

State and steps of the interior-point method: theta, the complementary pairs of every loss and
penalty row (`rows`), and the linear system that moves them together (`systems`).
Source of the steps: Mehrotra 1992, On the implementation of a primal-dual interior point method.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from sgu.auditor.losses import LOSSES, Change, HingeRows, Rows
from sgu.auditor.systems import Coordinates, System

if TYPE_CHECKING:
    from sgu.auditor.linear import LinearAuditor

TO_THE_WALL = 0.995  # share of the way to the boundary that one step may go, at the least
LONELY = 0.75  # problems under way go on alone once they are fewer than this share
PATIENCE = 30  # iterations after which a problem (one of 1,000 to 10,000) starts again, carefully
CAREFUL = 0.2, 0.9  # then: share of the products to aim at, and of the way to the boundary


class Path:
    """Problems somewhere near their central paths.

    theta = (u, b); u = w, or with the kernel's coordinates w = z'u.
    """

    def __init__(
        self,
        auditor: LinearAuditor,
        route: Callable[[Any, Tensor, Tensor, Tensor], System],
        at: Coordinates,
        y: Tensor,
        c: Tensor,
        reg: Tensor,
    ) -> None:
        self.auditor, self.route, self.at = auditor, route, at
        self.y, self.c, self.reg = y, c, reg
        self.per_c = torch.where(c > 0, 1 / c, 0)
        self.l1 = auditor.penalty == "l1"

    def take(self, some: Tensor) -> Path:
        """The problems numbered `some`, to go on with alone."""
        sides = self.y[some], self.c[some], self.reg[some]
        part = Path(self.auditor, self.route, self.at.take(some), *sides)
        part.resume(self.theta[some], [rows.take(some) for rows in self.rows], self.stuck[some])
        return part

    def put(self, some: Tensor, part: Path) -> None:
        """What has become of the problems numbered `some`."""
        if part is self:
            return
        self.theta[some], self.stuck[some] = part.theta, part.stuck
        for rows, new in zip(self.rows, part.rows, strict=True):
            rows.put(some, new)

    def margin(self, theta: Tensor) -> Tensor:
        return self.y * (self.at.forward(theta[:, :-1]) - theta[:, -1:])

    def enter(self, theta: Tensor, mu: float) -> None:
        """Take the path's own point (exact pairs) for theta at mu."""
        w, mu = theta[:, :-1], max(mu, self.auditor.smoothing)
        loss = LOSSES[self.auditor.loss](self.margin(theta), mu)
        kinks = [HingeRows(1 - 2 * w, mu)] if self.l1 else []
        self.resume(theta, [loss, *kinks], torch.zeros_like(theta[:, 0], dtype=torch.bool))

    def resume(self, theta: Tensor, rows: list[Rows], stuck: Tensor) -> None:
        self.theta, self.rows, self.loss, self.stuck = theta, rows, rows[0], stuck
        self.look()

    def look(self) -> None:
        """Stationarity residual g = -dL/dtheta, and who has arrived."""
        w, pull = self.theta[:, :-1], self.c * self.loss.p * self.y
        slope = self.reg * (2 * self.rows[1].p - 1) if self.l1 else self.reg * w
        self.g = torch.cat([self.at.adjoint(pull) - slope, -pull.sum(1, keepdim=True)], -1)
        self.residual = self.g.abs().amax(1)
        self.arrived = (self.residual <= self.auditor.tolerance) & self._on_target()

    def factor(self, stiffest: float = torch.inf) -> None:
        """The Newton system here; `stiffest` bounds the losses' D and the l1 rows' 1/D."""
        D, E = self.c * self.loss.curvature().clamp(max=stiffest), self.reg
        if self.l1:
            E = 4 * self.reg * self.rows[1].curvature().clamp(min=1 / stiffest)
        self.system: System = self.route(self.at, self.y, D, E)
        self.stuck = self.stuck | self.system.singular

    def _on_target(self) -> Tensor:
        """Every product is at the path's end: (problems,) bool."""
        mu = self.auditor.smoothing
        off = [(rows.products() - mu).abs().sum(0).amax(1) for rows in self.rows]
        return torch.stack(off).amax(0) <= min(self.auditor.tolerance, mu / 2)

    def newton(self, targets: list[Tensor]) -> tuple[Tensor, list[Change], Tensor]:
        """Change of theta and of each row's pairs towards the target products, and its reach."""
        g = self.g
        if self.l1:
            kinks = self.rows[1]
            D, rho = kinks.curvature(), kinks.rho(targets[1])
            g = torch.cat([g[:, :-1] - 2 * self.reg * D * rho, g[:, -1:]], -1)
        dtheta, ddual = self.system.solve(g, self.loss.rho(targets[0]))
        changes = [self.loss.direction(targets[0], ddual * self.per_c)]
        if self.l1:
            changes.append(kinks.direction(targets[1], D * (rho + 2 * dtheta[:, :-1])))
        reach = [rows.reach(change) for rows, change in zip(self.rows, changes, strict=True)]
        return dtheta, changes, torch.stack(reach).amin(0)

    def advance(self, careful: bool = False) -> None:
        """One Newton step of every problem that is still on its way.

        Mehrotra's predictor and corrector; or, carefully, a short step towards a fifth of the
        products: it never jams at the boundary, and takes twice as many iterations.
        """
        self.factor()
        mu, end = self.mean_product(), self.theta.new_tensor(self.auditor.smoothing)
        if careful:
            share, wall = CAREFUL[0], torch.full_like(mu, CAREFUL[1])
            targets = [torch.maximum(share * mu, end)[:, None] for _ in self.rows]
        else:
            wall = (1 - mu).clamp(min=TO_THE_WALL)  # at the end nearly all the way: superlinear
            _, changes, reach = self.newton([end for _ in self.rows])
            after = self.mean_product(changes, (wall * reach).clamp(max=1))
            aim = torch.maximum((after / mu).clamp(0, 1) ** 4 * mu, end)[:, None]
            targets = [aim - dm * ds for dm, ds in changes]
        dtheta, changes, reach = self.newton(targets)
        step = torch.where(self.arrived | self.stuck, 0, (wall * reach).clamp(max=1))
        self.theta = self.theta + step[:, None] * dtheta
        for rows, change in zip(self.rows, changes, strict=True):
            rows.move(change, step)
        self.look()

    def mean_product(
        self, changes: list[Change] | None = None, step: Tensor | float = 0.0
    ) -> Tensor:
        """Mean of multiplier * slack (problems,), now or after a step along the changes."""
        pairs = [
            rows.products() if changes is None else rows.products_after(changes[i], step)
            for i, rows in enumerate(self.rows)
        ]
        count = sum(pair.shape[0] * pair.shape[2] for pair in pairs)
        return torch.stack([pair.sum((0, 2)) for pair in pairs]).sum(0) / max(count, 1)


def follow(path: Path, most: int) -> int:
    """Take every problem to its path's end; returns the iterations of the slowest.

    Problems arrive at different times: once a quarter of those under way has, the rest go on alone.
    """
    numbers, part, iterations = torch.arange(len(path.theta), device=path.theta.device), path, 0
    while iterations < most:
        going = ~(part.arrived | part.stuck)
        count = int(going.sum())
        if count == 0:
            break
        if count < LONELY * len(going) or iterations == PATIENCE:
            path.put(numbers, part)
            numbers = numbers[going]
            part = path.take(numbers)
        if iterations == PATIENCE:
            part.enter(torch.zeros_like(part.theta), 1.0)
        part.advance(careful=iterations >= PATIENCE)
        iterations += 1
    path.put(numbers, part)
    return iterations
