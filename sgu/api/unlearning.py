"""`sgu.unlearn`: any method of `sgu methods`, on any network and task."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from sgu.api.fitting import check_network, check_task, check_trainable
from sgu.api.tables import ROWS, as_text, metric_table
from sgu.evaluation import all_metrics
from sgu.experiment import REFERENCE_SETTINGS, Experiment
from sgu.host.provenance import code_version
from sgu.methods import plays
from sgu.results.schema import GAME_SETTINGS, METRICS
from sgu.task import Task
from sgu.training.inference import device_of
from sgu.unlearning import unlearn as run

if TYPE_CHECKING:
    import pandas as pd

OF_THE_TASK = REFERENCE_SETTINGS - {"seed"}
"""Settings of a run that the network and the task stand for here."""


@dataclass(frozen=True, eq=False)
class Unlearned:
    """An unlearned network, on the device of the one it was made from.

    metrics: of `model`, as `sgu.results.schema.METRICS` names and explains them; before: the same
    of the network it was made from; settings: all that the run read, and of which data and code it
    was; notes: what should be known of the run, as warned of.
    """

    model: nn.Module
    metrics: Mapping[str, float]
    before: Mapping[str, float]
    settings: Mapping[str, Any]
    notes: tuple[str, ...]

    def to_frame(self) -> pd.DataFrame:
        """Return a row a metric, with columns before, unlearned and meaning."""
        import pandas as pd

        columns = {"before": dict(self.before), "unlearned": dict(self.metrics)}
        frame = pd.DataFrame(columns).rename_axis("metric")
        return frame.assign(meaning=[METRICS[str(name)].meaning for name in frame.index])

    def to_dict(self) -> dict[str, Any]:
        """Return all but the network as plain values, which JSON takes."""
        models = {"before": dict(self.before), "unlearned": dict(self.metrics)}
        return {"metrics": models, "settings": dict(self.settings), "notes": list(self.notes)}

    def __str__(self) -> str:
        shown = {"before": self.before, "unlearned": self.metrics}
        return as_text(metric_table(shown), *self.notes)

    def __repr__(self) -> str:
        shares = ", ".join(f"{name} {self.metrics[name]:.3f}" for name in ROWS[:4])
        return f"Unlearned(method={self.settings['method']!r}: {shares})"


def unlearn(
    model: nn.Module,
    task: Task,
    method: str = "sg",
    *,
    seed: int = 0,
    on_epoch: Callable[[dict[str, float]], None] | None = None,
    **settings: Any,
) -> Unlearned:
    """Return a copy of a network that has forgotten the task's forget.

    model: gives logits (n, C) for a batch of what the task's data yield; it stays as it is, and the
    work is done on its device. Frozen weights (`requires_grad` False) are not changed in the copy.
    method: a name of `sgu methods`, or sg+NAME, the game over it.
    seed: of batches and game; on the CPU the same seed and number of threads give the same bits.
    on_epoch: called after each epoch with its number, loss and metrics on forget and val.
    settings: the method's own and those of its optimisation (epochs, lr, batch_size, augment, ...)
    and the game's (alpha, reg, solve_every, ...), as `sgu.Experiment` and `sgu methods` have them;
    those left out are as published.
    Raises ValueError for a setting or a network that does not fit, and Diverged or AuditorError
    where the run breaks down. Warns where the game was not, or not in every epoch, played.
    """
    for name in settings:
        if name in OF_THE_TASK:
            raise ValueError(
                f"{name} = {settings[name]!r}: the network and the task say it already"
            )
    experiment = Experiment.of(method=method, seed=seed, **settings)
    check_task(task)
    check_network(model, task)
    check_trainable(model)
    device = device_of(model)
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(seed)  # what dropout draws from
        outcome = run(experiment, task, model, on_epoch, own_network=True)
    for note in outcome.notes:
        warnings.warn(note, stacklevel=2)
    return Unlearned(
        model=outcome.model,
        metrics=outcome.metrics,
        before=all_metrics(model, task),
        settings=_read(experiment, task),
        notes=outcome.notes,
    )


def _read(experiment: Experiment, task: Task) -> dict[str, Any]:
    """Return the settings that a run read, and the data and code that it was of."""
    unread = OF_THE_TASK if plays(experiment.method) else OF_THE_TASK | GAME_SETTINGS
    read = {name: value for name, value in experiment.settings().items() if name not in unread}
    return read | {
        "data_fingerprint": task.source.fingerprint,
        "split_digest": task.splits.digest,
        "code_version": code_version()[0],
    }
