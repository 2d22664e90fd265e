"""Does the null band hold what it promises? `python benchmarks/band.py`.

Trains retrained models of fresh seeds and counts, for each metric of an audit, how often one of
them lies inside the band of three others, over all choices of three and one. The choices share
models and are far from independent. So the measured share stands beside the range that 95 % of
such experiments would reach if the metric were normal and the band right (simulated with as many
models). Distances from retrained models are those from the mean of the three. Shadow models are
trained once; for U-LiRA they are unlearned by a brief fine-tuning.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Sequence
from itertools import combinations
from pathlib import Path

import numpy as np
import torch

from sgu.audit.networks import Group, Networks, Notes
from sgu.audit.running import measured
from sgu.ensembles.designs import oracles, shadows
from sgu.ensembles.train import ensemble
from sgu.experiment import Experiment
from sgu.metrics import against_retrained
from sgu.metrics.evaluate import Metrics, against_others, mean_of
from sgu.results.null_band import ASPECTS, SLACK, bands, half_width
from sgu.training.inference import default_device

SIMULATED = 2000
BY = "finetune"
DISTANCES = ("avg_gap", "tow")


def coverage(values: np.ndarray, size: int) -> np.ndarray:
    """Return how often one of values (..., M) is inside the band of `size` others, shape (...)."""
    models = values.shape[-1]
    chosen = np.array(list(combinations(range(models), size)))
    mean, sd = values[..., chosen].mean(-1), values[..., chosen].std(-1, ddof=1)
    reach = half_width(size - 1, 1 + 1 / size) * sd + SLACK
    inside = abs(values[..., None, :] - mean[..., None]) <= reach[..., None]
    left = np.ones((len(chosen), models), bool)
    left[np.arange(len(chosen))[:, None], chosen] = False
    return (inside & left).sum((-1, -2)) / left.sum()


def expected(models: int, size: int) -> tuple[float, float, float]:
    """Return the mean and the 95 % range of `coverage` for normal values."""
    rng = np.random.default_rng(0)
    simulated = [coverage(rng.normal(size=(20, models)), size) for _ in range(SIMULATED // 20)]
    low, high = np.percentile(np.concatenate(simulated), [2.5, 97.5])
    return float(np.mean(simulated)), float(low), float(high)


def shares(audits: Sequence[Metrics], size: int) -> Iterator[tuple[str, float, np.ndarray]]:
    """Yield each metric's name, how often it is inside, and its values."""
    for name in (name for name in ASPECTS if all(name in metrics for metrics in audits)):
        values = np.array([metrics[name] for metrics in audits])
        yield name, float(coverage(values, size)), values
    if size > 2:
        yield from of_distances(audits, size)


def of_distances(audits: Sequence[Metrics], size: int) -> Iterator[tuple[str, float, np.ndarray]]:
    """Yield as `shares`; the values are each model's distances from the choices without it."""
    distances, inside = ({name: list[float]() for name in DISTANCES} for _ in range(2))
    for chosen in combinations(range(len(audits)), size):
        others = [audits[k] for k in chosen]
        band, centre = bands(against_others(others)), mean_of(others)
        for audit in (audits[k] for k in range(len(audits)) if k not in chosen):
            for name, value in against_retrained(audit, centre).items():
                distances[name].append(value)
                inside[name].append(value in band[name])
    for name in DISTANCES:
        yield name, float(np.mean(inside[name])), np.array(distances[name])


def models(args: argparse.Namespace, device: torch.device) -> list[Metrics]:
    """Return everything that an audit measures on each retrained model."""
    base = Experiment(subset=args.subset or None, pretrain_epochs=args.epochs, seed=args.seed)
    task, by = base.task(args.cache), Experiment.of(method=BY, epochs=2)
    design = shadows(base, task, args.shadows // 2) if args.shadows else None
    groups = [oracles(base, task, args.models)]
    groups += [design.recipes, design.unlearned(by, task)] if design else []
    logits = iter(ensemble([r for group in groups for r in group], task, args.cache, device))
    retrained, *shadowed = ([next(logits) for _ in group] for group in groups)
    by_group = zip((Group("shadow"), Group("shadow", BY)), shadowed, strict=bool(design))
    networks = Networks(
        task=task,
        notes=Notes(print),
        oracles=retrained,
        design=design,
        groups=dict(by_group),
        seeds={},
    )
    return [measured(BY, logits_of, networks)[0] for logits_of in retrained]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", type=int, default=12)
    parser.add_argument("--oracles", type=int, default=3)
    parser.add_argument("--shadows", type=int, default=8, help="0: no attacks with them")
    parser.add_argument("--subset", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0, help="of the split and of the models' seeds")
    parser.add_argument("--epochs", type=int, default=None, help="default: those of the model")
    parser.add_argument("--cache", type=Path, default=Path("results/cache"))
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    begin, device = time.perf_counter(), default_device()
    audits = models(args, device)
    mean, low, high = expected(args.models, args.oracles)
    print(f"{args.models} retrained models, bands of {args.oracles}, all choices; promised .95")
    print(f"normal values would give {mean:.3f}, 95 % of the time {low:.3f} .. {high:.3f}")
    all_shares = []
    for name, share, values in shares(audits, args.oracles):
        all_shares.append(share)
        mark = "" if low <= share <= high else "  <- outside"
        print(
            f"{name:>18}  inside {share:.3f}  mean {values.mean():.3f}  "
            f"sd {values.std(ddof=1):.4f}{mark}"
        )
    print(
        f"all metrics: {np.mean(all_shares):.3f}; {time.perf_counter() - begin:.0f} s on {device}"
    )


if __name__ == "__main__":
    main()
