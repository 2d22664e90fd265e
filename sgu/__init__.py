"""Machine unlearning as a Stackelberg game. A run as a library:

    experiment = Experiment.of(method="sg", alpha=2.0, epochs=5)
    task = experiment.task()
    original = experiment.reference("original", task).model
    outcome = unlearn(experiment, task, original)

`sgu.audit.audit` audits models. Importing `sgu` loads none of its libraries: each name is imported
when it is first used.
"""

from importlib import import_module
from typing import Any

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

__all__ = [name for names in _MODULES.values() for name in names]


def __getattr__(name: str) -> Any:
    for module, names in _MODULES.items():
        if name in names:
            return getattr(import_module(module), name)
    raise AttributeError(f"module 'sgu' has no attribute {name!r}")
