"""Does the null band hold what it promises? `python benchmarks/band.py`.

Trains retrained models of fresh seeds and asks, for each metric of an audit, how often one of them
lies inside the band of three others: over all choices of three and one, which share models and so
are far from independent. Beside the measured share stands therefore between which values 95 % of
such experiments would lie were the metric normal and the band right (simulated, with as many
models). Distances from retrained models are those from the three's mean. Shadow models are trained
once, for U-LiRA unlearned by a brief fine-tuning.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Sequence
from itertools import combinations
from pathlib import Path

import numpy as np
import torch

from sgu.audit.networks import Networks, Notes
from sgu.audit.running import measured
from sgu.ensembles import ensemble, oracles, shadows
from sgu.experiment import Experiment
from sgu.metrics import against_retrained
from sgu.metrics.evaluate import Metrics, against_others, mean_of
from sgu.results.null_band import ASPECTS, SLACK, bands, half_width
from sgu.training.inference import default_device

SIMULATED = 2000
BY = "finetune"
DISTANCES = ("avg_gap", "tow")


def coverage(values: np.ndarray, size: int) -> np.ndarray:
    """Of values (..., M): how often one is inside the band of `size` others, (...,)."""
    models = values.shape[-1]
    chosen = np.array(list(combinations(range(models), size)))
    mean, sd = values[..., chosen].mean(-1), values[..., chosen].std(-1, ddof=1)
    reach = half_width(size - 1, 1 + 1 / size) * sd + SLACK
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


def shares(found: Sequence[Metrics], size: int) -> Iterator[tuple[str, float, np.ndarray]]:
    """Of each metric: its name, how often it is inside, and its values."""
    for name in (name for name in ASPECTS if all(name in metrics for metrics in found)):
        values = np.array([metrics[name] for metrics in found])
        yield name, float(coverage(values, size)), values
    if size > 2:
        yield from of_distances(found, size)


def of_distances(found: Sequence[Metrics], size: int) -> Iterator[tuple[str, float, np.ndarray]]:
    """As `shares`; the values are each model's distances from the choices it is not in."""
    distances, inside = ({name: list[float]() for name in DISTANCES} for _ in range(2))
    for chosen in combinations(range(len(found)), size):
        theirs = [found[k] for k in chosen]
        of, centre = bands(against_others(theirs)), mean_of(theirs)
        for one in (found[k] for k in range(len(found)) if k not in chosen):
            for name, value in against_retrained(one, centre).items():
                distances[name].append(value)
                inside[name].append(value in of[name])
    for name in DISTANCES:
        yield name, float(np.mean(inside[name])), np.array(distances[name])


def models(given: argparse.Namespace, device: torch.device) -> list[Metrics]:
    """Everything that an audit measures of each retrained model."""
    own = Experiment(subset=given.subset or None, pretrain_epochs=given.epochs, seed=given.seed)
    task, by = own.task(given.cache), Experiment.of(method=BY, epochs=2)
    design = shadows(own, task, given.shadows // 2) if given.shadows else None
    groups = [oracles(own, task, given.models)]
    groups += [design.members, design.unlearned(by, task)] if design else []
    logits = iter(ensemble([m for group in groups for m in group], task, given.cache, device))
    made, *shadowed = ([next(logits) for _ in group] for group in groups)
    trained, gone = shadowed if design else (None, None)
    networks = Networks(
        task=task,
        notes=Notes(print),
        oracles=made,
        design=design,
        shadows=trained,
        u_shadows={BY: gone} if gone else {},
        ensembles={},
        seeds={},
    )
    return [measured(BY, each, networks)[0] for each in made]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", type=int, default=12)
    parser.add_argument("--oracles", type=int, default=3)
    parser.add_argument("--shadows", type=int, default=8, help="0: no attacks with them")
    parser.add_argument("--subset", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0, help="of the split and of the models' seeds")
    parser.add_argument("--epochs", type=int, default=None, help="default: the model's own")
    parser.add_argument("--cache", type=Path, default=Path("results/cache"))
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    begin, device = time.perf_counter(), default_device()
    found = models(given, device)
    mean, low, high = expected(given.models, given.oracles)
    print(f"{given.models} retrained models, bands of {given.oracles}, all choices; promised .95")
    print(f"normal values would give {mean:.3f}, 95 % of the time {low:.3f} .. {high:.3f}")
    all_shares = []
    for name, share, values in shares(found, given.oracles):
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
