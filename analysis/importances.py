"""Which parameters an objective depends on, by Optuna's evaluators (loaded here alone)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import pandas as pd

from analysis.pareto import OBJECTIVES, check_objectives, eligible, some
from analysis.settings import searched
from sgu.results.schema import METRICS

Evaluator = Literal["ped-anova", "fanova"]
FEW = 8
"""A parameter with no more different values is taken as one of choices."""


def importances(
    frame: pd.DataFrame,
    objectives: Sequence[str] = OBJECTIVES,
    evaluator: Evaluator = "ped-anova",
    seed: int = 0,
) -> pd.DataFrame:
    """The share of each searched parameter in what each objective varies by, in each cell.

    ped-anova: in reaching the best tenth (Watanabe et al. 2023, Optuna's default); fanova: in the
    variance, by a random forest (Hutter et al. 2014). Searched is what differs between the
    configurations that are no controls. Columns: cell, metric, parameter, importance (they sum
    to 1), configurations.

    Raises:
        ValueError: as `pareto_front`; or no cell has four configurations with a parameter that
            varies.
    """
    check_objectives(objectives)
    some(eligible(frame, objectives), objectives)
    enough = comparable(frame, objectives)
    if not enough:
        raise ValueError("no cell has 4 or more configurations that differ: let the study go on")
    found = []
    for cell, (own, settings) in enough.items():
        for name in objectives:
            shares = _shares(settings, METRICS[name].sign * own[name], evaluator, seed)
            found += [(cell, name, key, share, len(own)) for key, share in shares.items()]
    columns = ["cell", "metric", "parameter", "importance", "configurations"]
    return pd.DataFrame(found, columns=columns)


def comparable(
    frame: pd.DataFrame, objectives: Sequence[str]
) -> dict[str, tuple[pd.DataFrame, pd.DataFrame]]:
    """By cell: its configurations that are no controls, where there are four or more, and what
    differs between them."""
    rows = eligible(frame, objectives)
    rows = rows[~rows["control"].fillna(False).astype(bool)]
    found = {str(cell): (own, searched(own).dropna(axis=1)) for cell, own in rows.groupby("cell")}
    return {
        cell: (own, settings)
        for cell, (own, settings) in found.items()
        if len(own) >= 4 and not settings.empty
    }


def _shares(
    settings: pd.DataFrame, values: pd.Series, evaluator: Evaluator, seed: int
) -> dict[str, float]:
    import optuna
    from optuna.importance import FanovaImportanceEvaluator, PedAnovaImportanceEvaluator

    space = {str(name): _domain(settings[name]) for name in settings}
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)  # it would announce the study
    study = optuna.create_study(storage=optuna.storages.InMemoryStorage())
    optuna.logging.set_verbosity(verbosity)
    for row, value in zip(settings.to_dict("records"), values, strict=True):
        params = {str(name): chosen for name, chosen in row.items()}
        study.add_trial(
            optuna.trial.create_trial(params=params, distributions=space, value=float(value))
        )
    judge: Any = PedAnovaImportanceEvaluator()
    if evaluator == "fanova":
        judge = FanovaImportanceEvaluator(seed=seed)
    return optuna.importance.get_param_importances(study, evaluator=judge)


def _domain(values: pd.Series) -> Any:
    """Choices where there are few values or words; else a range, logarithmic over a decade."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution

    numbers = values.map(lambda value: isinstance(value, int | float)).all()
    if not numbers or values.nunique() <= FEW:
        return CategoricalDistribution(sorted(values.unique().tolist(), key=str))
    low, high = float(values.min()), float(values.max())
    return FloatDistribution(low, high, log=low > 0 and high / low >= 10)
