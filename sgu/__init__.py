"""Machine unlearning as a Stackelberg game, for any network, data and training loop:

    import sgu

    task = sgu.Task.of(train, heldout, forget=indices)
    done = sgu.unlearn(model, task, method="sg", alpha=1.0, epochs=5, seed=0)
    term = sgu.GameTerm(task, alpha=1.0, reg=0.1, solve_every=8)
    report = sgu.audit({"mine": done.model, "before": model}, task, train=train_my_network)

Importing `sgu` loads none of its libraries: each name is imported when it is first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sgu.api.auditing import Report as Report
    from sgu.api.auditing import audit as audit
    from sgu.api.game_term import GameTerm as GameTerm
    from sgu.api.unlearning import Unlearned as Unlearned
    from sgu.api.unlearning import unlearn as unlearn
    from sgu.data.sources import Examples as Examples
    from sgu.data.sources import Source as Source
    from sgu.data.sources import load_source as load_source
    from sgu.data.sources import make_source as make_source
    from sgu.evaluation import all_metrics as all_metrics
    from sgu.evaluation import selection_metrics as selection_metrics
    from sgu.experiment import Experiment as Experiment
    from sgu.game import Game as Game
    from sgu.methods import METHODS as METHODS
    from sgu.methods import Method as Method
    from sgu.models import load_model as load_model
    from sgu.models import save_model as save_model
    from sgu.task import Task as Task

_MODULES = {
    "sgu.api.auditing": ("Report", "audit"),
    "sgu.api.game_term": ("GameTerm",),
    "sgu.api.unlearning": ("Unlearned", "unlearn"),
    "sgu.data.sources": ("Examples", "Source", "load_source", "make_source"),
    "sgu.evaluation": ("all_metrics", "selection_metrics"),
    "sgu.experiment": ("Experiment",),
    "sgu.game": ("Game",),
    "sgu.methods": ("METHODS", "Method"),
    "sgu.models": ("load_model", "save_model"),
    "sgu.task": ("Task",),
}

__all__ = [name for names in _MODULES.values() for name in names]

if not TYPE_CHECKING:

    def __getattr__(name):
        for module, names in _MODULES.items():
            if name in names:
                return getattr(import_module(module), name)
        raise AttributeError(f"module 'sgu' has no attribute {name!r}")

    def __dir__():
        return sorted({*globals(), *__all__})
