"""An engineer who sweeps methods: every setting of every method on one task, as one table.

    .venv/bin/python examples/sweep.py

This is the quick way, in one process. Searches with samplers, seeds, resume and many machines are
studies: `sgu-study run studies/methods.yaml`.
"""

from __future__ import annotations

from typing import Any

import pandas as pd

import sgu

SWEEP: dict[str, list[dict[str, Any]]] = {
    "finetune": [{"lr": lr, "epochs": 3} for lr in (0.01, 0.05)],
    "sg": [{"alpha": alpha, "lr": 0.05, "epochs": 3, "solve_every": 4} for alpha in (0.5, 2.0)],
    "random_label": [{"lr": lr, "epochs": 3} for lr in (0.01, 0.05)],
    "ssd": [{"select": select} for select in (1.0, 2.0)],
}
SHOWN = ["retain_acc", "forget_acc", "val_acc", "val_mia_advantage", "seconds"]


def main(subset: int = 1000, pretrain_epochs: int | None = None) -> pd.DataFrame:
    """Run the sweep on so many of the embedded images, and return a row a run."""
    experiment = sgu.Experiment(subset=subset, pretrain_epochs=pretrain_epochs)
    task = experiment.task()
    original = experiment.reference("original", task).model
    rows = []
    for method, settings in SWEEP.items():
        for chosen in settings:
            done = sgu.unlearn(original, task, method, **chosen)
            rows.append({"method": method, "settings": chosen} | dict(done.metrics))
    table = pd.DataFrame(rows).sort_values("val_mia_advantage")
    print(table[["method", "settings", *SHOWN]].to_string(index=False))
    return table


if __name__ == "__main__":
    main()
