"""What SSD's last, short batch does in random forgetting. `python benchmarks/ssd_batches.py`.

The 400 forgotten images make three batches of 128 and one of 16, whose mean gradient is 8 times as
noisy. For some orders of the images it prints how many weights SSD changes, and the accuracy that
is left, with those 16 and without.
"""

from __future__ import annotations

import argparse
import copy
from pathlib import Path

import torch

from sgu.evaluation import all_metrics
from sgu.experiment import Experiment
from sgu.methods.curvature import Curvature, set_weights, weights_of
from sgu.methods.ssd import SSD

CACHE = Path("results/cache")


def measure(seed: int, orders: int, cache: Path) -> None:
    """Print a line for each order of the images, with all of forget and without its last batch."""
    experiment, ssd = Experiment.of(method="ssd", seed=seed), SSD()
    task = experiment.task(cache)
    original = experiment.reference("original", task, cache).model
    curvature, weights = Curvature.of(original, task), weights_of(original)
    for order in range(orders):
        generator = torch.Generator().manual_seed(1000 + order)
        retain, forget = (
            split[torch.randperm(len(split), generator=generator)]
            for split in (task.splits.retain, task.splits.forget)
        )
        for part in (forget, forget[: len(forget) // ssd.squared_batch * ssd.squared_batch]):
            I_D, I_f = (
                curvature.squares_of_batches(split, ssd.squared_batch)
                for split in (torch.cat([retain, part]), part)
            )
            model, factor = copy.deepcopy(original), ssd.factor(I_D, I_f)
            set_weights(model, factor * weights)
            metrics = all_metrics(model, task)
            left = (f"{name} {metrics[f'{name}_acc']:.3f}" for name in ("retain", "forget", "test"))
            print(seed, order, len(part), "images:", int((factor < 1).sum()), "weights;", *left)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--orders", type=int, default=2)
    parser.add_argument("--cache", type=Path, default=CACHE)
    arguments = parser.parse_args()
    for seed in arguments.seeds:
        measure(seed, arguments.orders, arguments.cache)
