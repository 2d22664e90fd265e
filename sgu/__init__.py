"""Machine unlearning as a Stackelberg game. A run as a library:

    experiment = Experiment.of(method="sg", alpha=2.0, epochs=5)
    task = experiment.task()
    original = experiment.reference("original", task).model
    outcome = unlearn(experiment, task, original)

`sgu.audit.audit` audits models. Importing `sgu` loads none of its libraries: each name is imported
when it is first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sgu.data.sources import Source, load_source, make_source
    from sgu.evaluation import all_metrics, selection_metrics
    from sgu.experiment import Experiment
    from sgu.game import Game
    from sgu.methods import METHODS, Method
    from sgu.models import load_model, save_model
    from sgu.task import Task
    from sgu.unlearning import Outcome, unlearn

_MODULES = {
    "sgu.data.sources": ("Source", "load_source", "make_source"),
    "sgu.evaluation": ("all_metrics", "selection_metrics"),
    "sgu.experiment": ("Experiment",),
    "sgu.game": ("Game",),
    "sgu.methods": ("METHODS", "Method"),
    "sgu.models": ("load_model", "save_model"),
    "sgu.task": ("Task",),
    "sgu.unlearning": ("Outcome", "unlearn"),
}

__all__ = [
    "METHODS", "Experiment", "Game", "Method", "Outcome", "Source", "Task", "all_metrics",
    "load_model", "load_source", "make_source", "save_model", "selection_metrics", "unlearn",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    for module, names in _MODULES.items():
        if name in names:
            return getattr(import_module(module), name)
    raise AttributeError(f"module 'sgu' has no attribute {name!r}")
