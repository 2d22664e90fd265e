"""How should an ensemble be trained on a CPU? `python benchmarks/ensembles.py`.

The same networks, by one process of all threads and by as many processes of one thread, without a
cache, one way after the other; processes pay for their start.
"""

from __future__ import annotations

import argparse
import os
import time
from functools import partial

import torch

from sgu.ensembles.designs import oracles
from sgu.ensembles.processes import processes
from sgu.ensembles.train import Run, train_and_unlearn
from sgu.experiment import Experiment


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--networks", type=int, default=4)
    parser.add_argument("--cores", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--model", default="small_cnn")
    parser.add_argument("--epochs", type=int, default=None, help="default: those of the model")
    args = parser.parse_args()
    experiment = Experiment(model=args.model, pretrain_epochs=args.epochs)
    task, device = experiment.task(), torch.device("cpu")
    jobs = [[recipe] for recipe in oracles(experiment, task, args.networks)]
    ways: dict[str, tuple[Run, int]] = {
        f"1 process, {args.cores} threads": (map, args.cores),
        "1 process, 1 thread": (map, 1),
        f"{args.cores} processes, 1 thread each": (processes(args.cores), 1),
    }
    for name, (run, threads) in ways.items():
        torch.set_num_threads(threads)
        begin = time.perf_counter()
        list(run(partial(train_and_unlearn, task=task, device=device), jobs))
        seconds = time.perf_counter() - begin
        print(f"{name:>28}: {seconds:6.1f} s for {args.networks} networks")


if __name__ == "__main__":
    main()
