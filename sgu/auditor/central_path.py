"""Newton steps along the central path, for all problems of a batch at once.

State and steps of the interior-point method: theta, the complementary pairs of the loss and of the
l1 penalty (`losses`), and the linear system that moves them together (`systems`).
Source of the steps: Mehrotra 1992, On the implementation of a primal-dual interior point method.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from sgu.auditor.losses import Hinge, Loss, largest
from sgu.auditor.systems import Coordinates, System
from sgu.host.devices import accelerated

TO_THE_WALL = 0.995, 0.999  # share of the way to the boundary that a step may go; apart: the second
LONELY = 0.75  # unsolved problems go on alone once they are fewer than this share
PATIENCE = 30  # iterations after which a problem (one of 1,000 to 10,000) starts again, carefully
LOOKS = range(12, 1000, 3)  # iterations before which a GPU's host looks: most end at 12 to 15
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
    with l1, the penalty's hinge. apart: the two of a linear programme, where nothing couples the
    steps of multipliers and slacks, so that each goes as far as it can. kappa: products of the
    penalty's pairs for one of the examples', until both are at the end. The penalty weighs 4 reg
    where an example weighs c, so with equal products a small reg would leave the path.
    """

    def __init__(
        self,
        end: End,
        route: Callable[[Coordinates, Tensor, Tensor], System],
        at: Coordinates,
        reg: Tensor,
    ) -> None:
        self.end, self.route, self.at, self.reg = end, route, at, reg
        self.apart = end.l1 and end.loss is Hinge
        self.kappa = (at.c.amax(1) / (4 * reg[:, 0])).clamp(min=1) if end.l1 else None

    def take(self, some: Tensor) -> Path:
        """Return the problems at the indices `some`, to go on with alone."""
        part = Path(self.end, self.route, self.at.take(some), self.reg[some])
        part.resume(self.theta[some], [loss.take(some) for loss in self.losses])
        return part

    def put(self, some: Tensor, part: Path) -> None:
        """Take over the state of `part`, the problems at the indices `some`."""
        self.theta[some] = part.theta
        for loss, new in zip(self.losses, part.losses, strict=True):
            loss.put(some, new)

    def enter(self, theta: Tensor, mu: float) -> None:
        """Start at theta with the exact pairs of the central path at mu."""
        mu = max(mu, self.end.smoothing)
        kinks = [Hinge(1 - 2 * theta[:, :-1], mu)] if self.end.l1 else []
        self.resume(theta, [self.end.loss(self.at.forward(theta), mu), *kinks])

    def resume(self, theta: Tensor, losses: list[Loss]) -> None:
        self.theta, self.losses, self.loss = theta, losses, losses[0]
        self.paired = [loss for loss in losses if loss.paired]
        self.one, self.stuck = theta.new_ones(()), torch.zeros_like(theta[:, 0], dtype=torch.int32)
        ridge = torch.zeros_like(theta) if self.end.l1 else self.reg.expand_as(theta).clone()
        ridge[:, -1] = 0
        self.ridge = ridge
        self.look()

    def look(self) -> None:
        """Update the stationarity residual g = -dL/dtheta, the mean product -mu (with l1, what the
        end leaves of it, and the penalty's by kappa), and which problems have arrived."""
        g = torch.addcmul(self.at.pull(self.loss.p), self.ridge, self.theta, value=-1)
        if self.end.l1:
            g[:, :-1].sub_(self.reg * (2 * self.losses[1].p - 1))
        self.g, self.residual = g, torch.linalg.vector_norm(g, torch.inf, dim=1)
        mu, tolerance = self.end.smoothing, self.end.tolerance
        scale = tolerance / min(tolerance, mu / 2)  # g's tolerance in that of an example's products
        worst, products = self.residual, [loss.products() for loss in self.paired]
        for pairs in products:
            off = torch.rsub(pairs, -mu * scale, alpha=scale)
            worst = torch.maximum(worst, largest(off))
        self.arrived = worst <= tolerance
        if self.kappa is not None:
            products = [pairs + mu for pairs in products]
            products[-1] /= self.kappa[:, None]
        self.mu = _mean(products) if products else torch.zeros_like(worst)

    def factor(self, stiffest: float = torch.inf) -> None:
        """Factor the Newton matrix; `stiffest` bounds the loss's curvatures -1/slope and the slopes
        of the l1 penalty."""
        slope, E, self.drift = self.loss.slope(), self.reg, []
        bounded = stiffest < torch.inf
        if self.end.l1:
            kinks = self.losses[1].slope()
            self.kinks = kinks.clamp(min=-stiffest) if bounded else kinks
            E = -4 * self.reg / self.kinks
            margins = self.at.forward(self.theta), 1 - 2 * self.theta[:, :-1]
            pairs = zip(self.losses, margins, strict=True)
            self.drift = [loss.margin() - margin for loss, margin in pairs]
        slope = slope.clamp(max=-1 / stiffest) if bounded else slope
        self.system: System = self.route(self.at, slope, E)

    def newton(self, targets: list[Tensor | None]) -> tuple[Tensor, list[Tensor]]:
        """Return the change of theta, and that of each loss's p."""
        rho = [loss.rho(target) for loss, target in zip(self.losses, targets, strict=True)]
        g = self.g
        if self.end.l1:
            rho = [own + off for own, off in zip(rho, self.drift, strict=True)]
            g = g.clone()
            g[:, :-1].addcdiv_(self.reg * rho[1], self.kinks, value=2)
        dtheta, dp = self.system.solve(g, rho[0])
        if not self.end.l1:
            return dtheta, [dp]
        return dtheta, [dp, torch.sub(-rho[1], dtheta[:, :-1], alpha=2) / self.kinks]

    def advance(self, careful: bool = False) -> None:
        """Take one Newton step in every problem that has not arrived.

        It is Mehrotra's predictor and corrector, or, if careful, a short step towards a fifth of
        the products, which never jams at the boundary and takes twice as many iterations.
        """
        self.factor()
        wall = CAREFUL[1] if careful else TO_THE_WALL[self.apart]
        targets: list[Tensor | None] = [None]
        if self.paired:
            targets = self.cautious() if careful else self.predicted()
        dtheta, changes = self.newton(targets)
        pairs = list(zip(self.losses, changes, strict=True))
        full = [loss.direction(dp) for loss, dp in pairs]
        reach = zip(self.losses, full, strict=True)
        over = _largest([loss.overreach(step, wall, self.apart) for loss, step in reach])
        self.stuck = self.system.factor.broken
        still = torch.logical_or(self.arrived, self.stuck)
        step = over.clamp_(min=1).reciprocal_().masked_fill_(still, 0)[..., None]
        self.theta = torch.addcmul(self.theta, step[1] if self.apart else step, dtheta)
        step = step[:, None] if self.apart else step
        for loss, change in zip(self.losses, full, strict=True):
            loss.move(change, step)
        self.look()

    def state(self) -> list[Tensor]:
        """Return all that a step reads of the steps before it."""
        pairs = [loss.pairs for loss in self.losses]
        return [self.theta, self.g, self.mu, self.residual, self.arrived, self.stuck, *pairs]

    def settle(self, kept: list[Tensor]) -> None:
        """Copy this path's state into the tensors `kept`, which hold it from then on."""
        for tensor, new in zip(kept, self.state(), strict=True):
            if tensor is not new:
                tensor.copy_(new)
        self.theta, self.g, self.mu, self.residual, self.arrived, self.stuck, *pairs = kept
        for loss, held in zip(self.losses, pairs, strict=True):
            loss.pairs = held

    def aims(self, aim: Tensor) -> list[Tensor]:
        """Return the products to aim at in each loss, (problems,), for a mean of `aim`."""
        end = self.end.smoothing
        if self.kappa is None:
            return [aim.clamp_(max=-end)]
        aim = aim.clamp_(max=0)
        return [aim - end, aim * self.kappa - end]

    def cautious(self) -> list[Tensor | None]:
        return [aim[:, None] for aim in self.aims(CAREFUL[0] * self.mu)]

    def predicted(self) -> list[Tensor | None]:
        """Return the targets of the corrector: where the full step to 0 gets as far as alpha, aim
        at (1 - alpha)^3 of the mean product, and make up for the second order."""
        _, changes = self.newton([None for _ in self.losses])
        pairs = list(zip(self.losses, changes, strict=True))
        over = _largest([loss.overshoot(dp, self.apart) for loss, dp in pairs])
        if self.apart:
            share = (1 - 1 / over.clamp(min=1)).prod(0).pow_(1.5)
        else:
            share = torch.addcdiv(self.one, self.one, over, value=-1).pow_(3)
        aims = self.aims(share.mul_(self.mu))
        return [loss.corrected(aim, dp) for aim, (loss, dp) in zip(aims, pairs, strict=True)]


def _largest(values: list[Tensor]) -> Tensor:
    return values[0] if len(values) == 1 else torch.maximum(*values)


def _mean(products: list[Tensor]) -> Tensor:
    """Return the mean of all products (problems,)."""
    if len(products) == 1:
        return products[0].mean((0, 2))
    count = sum(pairs.shape[0] * pairs.shape[2] for pairs in products)
    return sum(pairs.sum((0, 2)) for pairs in products) / max(count, 1)  # type: ignore


def follow(
    path: Path, most: int, iterations: int = 0, onwards: Callable[[], None] | None = None
) -> int:
    """Take every problem to its path's end; return the iterations of the slowest.

    Once a quarter of the problems under way has arrived, the rest go on alone. On a GPU all go on
    together, and the host, which waits for each look at them, looks now and then. iterations: those
    taken before; onwards: takes the path from one look to the next.
    """
    indices, part = torch.arange(len(path.theta), device=path.theta.device), path
    together = accelerated(path.theta.device)
    while iterations < most:
        if not together or iterations in LOOKS:
            going = ~torch.logical_or(part.arrived, part.stuck)
            count = int(going.sum())
            if count == 0:
                break
            if (count < LONELY * len(going) and not together) or iterations == PATIENCE:
                if part is not path:
                    path.put(indices, part)
                indices = indices[going]
                part = path.take(indices)
        if iterations == PATIENCE:
            part.enter(torch.zeros_like(part.theta), 1.0)
        if onwards and iterations < PATIENCE:
            onwards()
            iterations += LOOKS.step
        else:
            part.advance(careful=iterations >= PATIENCE)
            iterations += 1
    if part is not path:
        path.put(indices, part)
        path.look()
    return iterations
