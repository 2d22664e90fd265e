"""The steps of `central_path` for the l1 hinge on a CPU, compiled by numba: a problem at a time.

A problem fits into the first cache, while an operation on a whole batch goes through the memory,
some hundred times an iteration. The steps are the same, so a path ends where that of `central_path`
does, to rounding; `central_path` checks the ends, and goes on with the problems that are left.
The penalty's margins follow the examples' in one row: pairs (2, 2, n + d), dp (n + d). S is
A (n, d + 1) by the dual route and A' (d + 1, n) by the primal one: a row each of the Newton matrix.
The first use compiles for some seconds; numba keeps the result beside this file,
and compiles anew when the file changes: loops in another file would stay as they were.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from math import inf, sqrt
from typing import Any

import numba
import numpy as np
import torch

from sgu.auditor.central_path import TO_THE_WALL, Path
from sgu.auditor.systems import DualSystem, Features

AT_A_TIME = 32  # problems a thread takes up


def compiled(loop: Callable[..., Any]) -> Any:
    """Compile a loop when it is first called; kept on the disk, where that can be written."""
    jit = partial(numba.njit, loop, fastmath=True, nogil=True, error_model="numpy")
    try:
        return jit(cache=True)
    except RuntimeError:  # numba's, where neither this folder nor the user's can be written
        return jit()


def follow(path: Path, most: int) -> int:
    """Take every problem along its path; return the iterations of the slowest, `most` at most."""
    assert isinstance(path.at, Features)
    assert path.kappa is not None
    dual, end, A, c = path.route is DualSystem, path.end, path.at.A, path.at.c.contiguous().numpy()
    S = (A if dual else A.mT).contiguous().numpy()
    reg, theta, stuck = path.reg[:, 0].numpy(), path.theta.numpy(), path.stuck.numpy()
    pairs = torch.cat([loss.pairs for loss in path.losses], -1).movedim(2, 0).contiguous()
    kappa = path.kappa.numpy()
    rows, iterations = pairs.numpy(), np.zeros(len(theta), np.int32)
    goal = np.array([end.smoothing, end.tolerance, TO_THE_WALL[path.apart], most])

    def some(first: int) -> None:
        part = slice(first, first + AT_A_TIME)
        args = S, c, reg, kappa, theta, rows, iterations, stuck
        _follow(dual, goal, *(array[part] for array in args))

    with ThreadPoolExecutor(torch.get_num_threads()) as threads:
        list(threads.map(some, range(0, len(theta), AT_A_TIME)))
    parts = pairs.movedim(0, 2).split([c.shape[1], A.shape[2] - 1], -1)
    for loss, part in zip(path.losses, parts, strict=True):
        loss.pairs = part.contiguous()
    path.look()
    return int(iterations.max(initial=0))


@compiled
def _follow(dual, goal, S, c, reg, kappa, theta, pairs, iterations, stuck):
    for p in range(len(S)):
        iterations[p], stuck[p] = _travel(
            S[p], dual, c[p], reg[p], kappa[p], theta[p], pairs[p], goal
        )


@compiled
def _travel(S, dual, c, reg, kappa, theta, pairs, goal):
    """Take one problem along its path; return its iterations, and 1 if a Newton matrix turned
    singular."""
    smoothing, tolerance, wall, most = goal
    n, N, d = len(c), pairs.shape[2], len(theta) - 1
    scale = tolerance / min(tolerance, smoothing / 2)
    inverse, ratio, after = np.empty((2, N)), np.empty((2, N)), np.empty((2, N))
    short, slope, rho, dp = np.empty(N), np.empty(N), np.empty(N), np.empty(N)
    g, dtheta, E = np.empty(d + 1), np.empty(d + 1), np.empty(d + 1)
    M, long = np.empty((len(S), len(S))), np.empty(S.shape[1])
    root, r, Mr = np.empty(n), np.empty(n), np.empty(n)
    count = 0
    while True:
        residual = _stationarity(S, dual, c, reg, pairs, rho, g)
        mu, off = _products(pairs, smoothing, n, kappa)
        if max(residual, scale * off) <= tolerance or count >= most:
            return count, 0
        _slopes(pairs, inverse, ratio, slope)
        _shortfall(S, dual, theta, short)
        for j in range(d):
            E[j] = -4 * reg / slope[n + j]
        if dual:
            sound = _factor_dual(S, c, slope, E, long, root, r, Mr, M)
        else:
            sound = _factor_primal(S, c, slope, E, long, M)
        if not sound:
            return count, 1
        rho[:] = short
        for corrector in range(2):
            for j in range(d):
                dtheta[j] = g[j] + 2 * reg * rho[n + j] / slope[n + j]
            dtheta[d] = g[d]
            if dual:
                _solve_dual(S, c, E, M, root, r, Mr, rho, long, dtheta, dp)
            else:
                _solve_primal(S, c, slope, M, rho, long, dtheta, dp)
            for j in range(d):
                dp[n + j] = -(rho[n + j] + 2 * dtheta[j]) / slope[n + j]
            if corrector == 0:
                aim = min(_share(inverse, dp) * mu, 0.0)
                rho[:] = short
                for k in range(2):
                    _correct(pairs[1, k], inverse[k], ratio[k], dp, aim, aim * kappa, smoothing,
                             n, after[k], rho)  # fmt: skip
        p_step, s_step = _steps(pairs, inverse, ratio, dp, after, wall)
        for j in range(d + 1):
            theta[j] += s_step * dtheta[j]
        _move(pairs, dp, after, p_step, s_step)
        count += 1


@compiled
def _stationarity(S, dual, c, reg, pairs, cp, g):
    """Put the stationarity residual into g; return its infinity norm."""
    n = len(c)
    for i in range(n):
        cp[i] = c[i] * pairs[0, 0, i]
    if dual:
        _combine(S, cp, g)
    else:
        _dots(S, cp, g)
    most = abs(g[-1])
    for j in range(len(g) - 1):
        g[j] -= reg * (2 * pairs[0, 0, n + j] - 1)
        most = max(most, abs(g[j]))
    return most


@compiled
def _products(pairs, smoothing, n, kappa):
    """Return what the end leaves of the mean product, and how far the worst is from the end."""
    total, off = 0.0, 0.0
    for k in range(2):
        for i in range(pairs.shape[2]):
            left = pairs[0, k, i] * pairs[1, k, i] + smoothing
            total += left if i < n else left / kappa
            off = max(off, abs(left))
    return total / (2 * pairs.shape[2]), off


@compiled
def _slopes(pairs, inverse, ratio, slope):
    for i in range(pairs.shape[2]):
        inverse[0, i], inverse[1, i] = 1 / pairs[0, 0, i], 1 / pairs[0, 1, i]
        ratio[0, i] = pairs[1, 0, i] * inverse[0, i]
        ratio[1, i] = pairs[1, 1, i] * inverse[1, i]
        slope[i] = ratio[0, i] + ratio[1, i]


@compiled
def _shortfall(S, dual, theta, short):
    """Put 1 - margin into `short`, of the examples and of the penalty's 1 - 2 w."""
    n, d = len(short) - len(theta) + 1, len(theta) - 1
    if dual:
        _dots(S, theta, short)
    else:
        _combine(S, theta, short)
    for i in range(n):
        short[i] = 1 - short[i]
    for j in range(d):
        short[n + j] = 2 * theta[j]


@compiled
def _share(inverse, dp):
    """Return the share of the products to aim at, from how far the full step to 0 overshoots."""
    low, high = 0.0, 0.0
    for k in range(2):
        for i in range(len(dp)):
            r = dp[i] * inverse[k, i]
            low, high = min(low, r), max(high, r)
    left = (1 - 1 / max(1.0, -low)) * (1 - 1 / max(1.0, 1 + high))
    return left * sqrt(left)


@compiled
def _correct(slack, inverse, ratio, dp, aim, kink_aim, smoothing, n, full, rho):
    """Put target/multiplier of Mehrotra's corrector into `full`, and take it from rho."""
    for i in range(len(dp)):
        shorter = slack[i] + ratio[i] * dp[i]
        target = (aim if i < n else kink_aim) - smoothing + shorter * dp[i]
        full[i] = target * inverse[i]
        rho[i] -= full[i]


@compiled
def _steps(pairs, inverse, ratio, dp, after, wall):
    """Turn `after` into the slacks after a full step; return both steps."""
    low, left = 0.0, 1.0
    for k in range(2):
        for i in range(len(dp)):
            after[k, i] -= ratio[k, i] * dp[i]
            low = min(low, dp[i] * inverse[k, i])
            left = min(left, after[k, i] / pairs[1, k, i])
    return 1 / max(1.0, -low / wall), 1 / max(1.0, (1 - left) / wall)


@compiled
def _move(pairs, dp, after, p_step, s_step):
    for k in range(2):
        for i in range(len(dp)):
            pairs[0, k, i] += p_step * dp[i]
            pairs[1, k, i] += s_step * (after[k, i] - pairs[1, k, i])


@compiled
def _factor_primal(S, c, slope, E, long, M):
    """Factor H of `PrimalSystem`."""
    used = 0.0
    for i in range(len(c)):
        long[i] = -c[i] / slope[i]
        used += c[i]
    _gram(S, long, M)
    for j in range(len(S) - 1):
        M[j, j] += E[j]
    if used == 0:
        M[-1, -1] = 1
    return _cholesky(M)


@compiled
def _solve_primal(S, c, slope, M, rho, long, dtheta, dp):
    """Turn g in dtheta into the change of theta, and set the first dp."""
    for i in range(len(c)):
        long[i] = rho[i] * c[i] / slope[i]
    for j in range(len(S)):
        total = 0.0
        for i in range(len(long)):
            total += S[j, i] * long[i]
        dtheta[j] -= total
    _solve(M, dtheta)
    _combine(S, dtheta, long)
    for i in range(len(c)):
        dp[i] = (long[i] - rho[i]) / slope[i]


@compiled
def _factor_dual(S, c, slope, E, long, root, r, Mr, M):
    """Factor M of `DualSystem`, and solve for M^-1 r."""
    n, d = len(c), S.shape[1] - 1
    least = inf
    for j in range(d):
        least = min(least, E[j])
        long[j] = 1 / E[j]
    E[d] = least
    long[d] = 1 / least
    _gram(S, long, M)
    for i in range(n):
        root[i] = sqrt(-c[i] / slope[i])
        r[i] = Mr[i] = -root[i] * S[i, d]
        for k in range(i + 1):
            M[i, k] *= root[i] * root[k]
        M[i, i] += 1
    if not _cholesky(M):
        return False
    _solve(M, Mr)
    return True


@compiled
def _solve_dual(S, c, E, M, root, r, Mr, rho, long, dtheta, dp):
    """Turn g in dtheta into the change of theta, and set the first dp."""
    n, d = len(c), len(E) - 1
    for j in range(d + 1):
        long[j] = dtheta[j] / E[j]
    _dots(S, long, dp)
    for i in range(n):
        dp[i] = root[i] * (rho[i] - dp[i])
    _solve(M, dp)
    ru, rMr = 0.0, 0.0
    for i in range(n):
        ru += r[i] * dp[i]
        rMr += r[i] * Mr[i]
    db = (dtheta[d] - ru) / rMr if rMr > 0 else 0.0
    for i in range(n):
        dp[i] = root[i] * (dp[i] + db * Mr[i])
    _combine(S, dp, long)
    for j in range(d):
        dtheta[j] = (dtheta[j] + long[j]) / E[j]
    dtheta[d] = db
    for i in range(n):
        dp[i] = dp[i] / c[i] if c[i] > 0 else 0.0


@compiled
def _dots(S, v, out):
    """Put S v into out."""
    for i in range(len(S)):
        total = 0.0
        for j in range(S.shape[1]):
            total += S[i, j] * v[j]
        out[i] = total


@compiled
def _combine(S, v, out):
    """Put S' v into out."""
    out[: S.shape[1]] = 0
    for i in range(len(S)):
        for j in range(S.shape[1]):
            out[j] += S[i, j] * v[i]


@compiled
def _gram(S, weight, M):
    """Put the lower half of S diag(weight) S' into M."""
    half = np.empty(S.shape[1])
    for i in range(len(S)):
        for j in range(S.shape[1]):
            half[j] = S[i, j] * weight[j]
        _dots(S[: i + 1], half, M[i])


@compiled
def _cholesky(M):
    """Turn the lower half of M into its Cholesky factor, with 1/diagonal; False: not definite."""
    for i in range(len(M)):
        for j in range(i + 1):
            rest = M[i, j]
            for k in range(j):
                rest -= M[i, k] * M[j, k]
            if j < i:
                M[i, j] = rest * M[j, j]
            elif rest > 0:
                M[i, i] = 1 / sqrt(rest)
            else:
                return False
    return True


@compiled
def _solve(L, v):
    """Turn v into the solution of L L' x = v; L as `_cholesky` leaves it."""
    for i in range(len(L)):
        rest = v[i]
        for k in range(i):
            rest -= L[i, k] * v[k]
        v[i] = rest * L[i, i]
    for i in range(len(L) - 1, -1, -1):
        v[i] *= L[i, i]
        for k in range(i):
            v[k] -= L[i, k] * v[i]
