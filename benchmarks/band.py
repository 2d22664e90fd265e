"""Does the null band hold what it promises? `python benchmarks/band.py`.

Trains retrained models of fresh seeds and asks, for each metric, how often one of them lies inside
the band of three others: over all choices of three and one, which share models and so are far from
independent. Beside the measured share stands therefore between which values 95 % of such
experiments would lie were the metric normal and the band right (simulated, with as many models).
"""

from __future__ import annotations

import argparse
import time
from itertools import combinations
from pathlib import Path

import numpy as np
import torch

from sgu.ensembles import ensemble, oracles
from sgu.experiment import Experiment
from sgu.inference import default_device
from sgu.metrics import metrics_of
from sgu.metrics.band import KINDS, SLACK, half_width

SIMULATED = 2000


def coverage(values: np.ndarray, size: int) -> np.ndarray:
    """Of values (..., M): how often one is inside the band of `size` others, (...,)."""
    models = values.shape[-1]
    chosen = np.array(list(combinations(range(models), size)))
    mean, sd = values[..., chosen].mean(-1), values[..., chosen].std(-1, ddof=1)
    reach = half_width(size) * sd + SLACK
    inside = abs(values[..., None, :] - mean[..., None]) <= reach[..., None]
    left = np.ones((len(chosen), models), bool)
    left[np.arange(len(chosen))[:, None], chosen] = False
    return (inside & left).sum((-1, -2)) / left.sum()


def expected(models: int, size: int) -> tuple[float, float, float]:
    """Mean and 95 % range of `coverage` where the values are normal."""
    rng = np.random.default_rng(0)
    found = [coverage(rng.normal(size=(20, models)), size) for _ in range(SIMULATED // 20)]
    low, high = np.percentile(np.concatenate(found), [2.5, 97.5])
    return float(np.mean(found)), float(low), float(high)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", type=int, default=12)
    parser.add_argument("--oracles", type=int, default=3)
    parser.add_argument("--subset", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0, help="of the split and of the models' seeds")
    parser.add_argument("--epochs", type=int, default=None, help="default: the model's own")
    parser.add_argument("--cache", type=Path, default=Path("results/cache"))
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    begin, device = time.perf_counter(), default_device()
    experiment = Experiment(
        subset=given.subset or None, pretrain_epochs=given.epochs, seed=given.seed
    )
    world = experiment.world(given.cache)
    members = oracles(experiment, world, given.models)
    found = [metrics_of(m.scored(world)) for m in ensemble(members, world, given.cache, device)]
    mean, low, high = expected(given.models, given.oracles)
    print(f"{given.models} retrained models, bands of {given.oracles}, all choices; promised .95")
    print(f"normal values would give {mean:.3f}, 95 % of the time {low:.3f} .. {high:.3f}")
    shares = []
    for name in (name for name in KINDS if all(name in metrics for metrics in found)):
        values = np.array([metrics[name] for metrics in found])
        shares.append(float(coverage(values, given.oracles)))
        mark = "" if low <= shares[-1] <= high else "  <- outside"
        print(
            f"{name:>18}  inside {shares[-1]:.3f}  mean {values.mean():.3f}  "
            f"sd {values.std(ddof=1):.4f}{mark}"
        )
    print(f"all metrics: {np.mean(shares):.3f}; {time.perf_counter() - begin:.0f} s on {device}")


if __name__ == "__main__":
    main()
