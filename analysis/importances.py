"""The importance of each parameter for an objective, by Optuna's evaluators (loaded on call)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import pandas as pd

from analysis.configurations import searched
from analysis.pareto import OBJECTIVES, check_objectives, eligible, some
from sgu.results.schema import METRICS

Evaluator = Literal["ped-anova", "fanova"]
FEW = 8
"""A parameter with no more different values counts as a choice among them."""


def importances(
    frame: pd.DataFrame,
    objectives: Sequence[str] = OBJECTIVES,
    evaluator: Evaluator = "ped-anova",
) -> pd.DataFrame:
    """Return the share of each searched parameter in the variation of each objective, by cell.

    ped-anova: share in reaching the best tenth (Watanabe et al. 2023, Optuna's default); fanova:
    in the variance, by a random forest (Hutter et al. 2014). Searched parameters are those that
    differ between configurations that are no controls. Columns: cell, metric, parameter,
    importance (they sum to 1), configurations.

    Raises:
        ValueError: as `pareto_front`; or no cell has four configurations with a parameter that
            varies.
    """
    check_objectives(objectives)
    some(eligible(frame, objectives), objectives)
    enough = comparable(frame, objectives)
    if not enough:
        raise ValueError("no cell has 4 or more configurations that differ: let the study go on")
    records = []
    for cell, (rows, settings) in enough.items():
        for name in objectives:
            shares = _shares(settings, METRICS[name].sign * rows[name], evaluator)
            records += [(cell, name, key, share, len(rows)) for key, share in shares.items()]
    columns = ["cell", "metric", "parameter", "importance", "configurations"]
    return pd.DataFrame(records, columns=columns)


def comparable(
    frame: pd.DataFrame, objectives: Sequence[str]
) -> dict[str, tuple[pd.DataFrame, pd.DataFrame]]:
    """Return, by cell, the four or more configurations that are no controls, and the settings in
    which they differ."""
    rows = eligible(frame, objectives)
    rows = rows[~rows["control"].fillna(False).astype(bool)]
    return {
        str(cell): (group, settings)
        for cell, group in rows.groupby("cell")
        if len(group) >= 4 and not (settings := searched(group).dropna(axis=1)).empty
    }


def _shares(settings: pd.DataFrame, values: pd.Series, evaluator: Evaluator) -> dict[str, float]:
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
        judge = FanovaImportanceEvaluator(seed=0)
    return optuna.importance.get_param_importances(study, evaluator=judge)


def _domain(values: pd.Series) -> Any:
    """Return choices for words or few values, else a range, logarithmic from one decade on."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution

    numbers = values.map(lambda value: isinstance(value, int | float)).all()
    if not numbers or values.nunique() <= FEW:
        return CategoricalDistribution(sorted(values.unique().tolist(), key=str))
    low, high = float(values.min()), float(values.max())
    return FloatDistribution(low, high, log=low > 0 and high / low >= 10)
