"""Verdicts on the configurations of a study: the residual memory of each, beside its references.

The metrics are `SELECTION`, of forget and val alone, so that a choice may rest on them. A
configuration is judged by all of its complete seeds together, each beside the original and the
retrained models of that seed.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Hashable, Mapping
from typing import Any

import pandas as pd

from analysis.configurations import CONFIGURED, complete
from sgu.results.schema import REFERENCES
from sgu.results.verdicts import MARGIN, SELECTION, Judgement, judge
from sgu.results.verdicts import References as OfSeed

Key = tuple[Hashable, ...]
"""Study, cell and trial_id."""


def judgements(
    frame: pd.DataFrame, phase: str = "search", margin: float = MARGIN
) -> dict[Key, Judgement]:
    """Return the judgement on each configuration that is complete in a seed of the phase."""
    rows = complete(frame, phase)
    references = _references(rows[rows["method"].isin(REFERENCES)])
    trials = rows[~rows["method"].isin(REFERENCES)]
    metrics = _metrics(trials)
    of_task = [references.get(key, NOBODY) for key in _keys(trials, TASK)]
    forgotten = (trials["forget_fraction"] * trials["train_examples"]).to_numpy()
    classes = trials["classes"].to_numpy()
    runs: defaultdict[Key, list[int]] = defaultdict(list)
    for index, key in enumerate(_keys(trials, CONFIGURED)):
        runs[key].append(index)
    return {
        key: judge(
            [metrics[index] for index in seeds],
            [of_task[index] for index in seeds],
            SELECTION,
            forgotten=_count(forgotten[seeds[0]]),
            classes=_count(classes[seeds[0]]),
            margin=margin,
        )
        for key, seeds in runs.items()
    }


def judgement_of(judged: Mapping[Key, Judgement], row: pd.Series) -> Judgement:
    """Return the judgement on a configuration's row."""
    return judged[tuple(row[name] for name in CONFIGURED)]


VERDICT = ("verdict", "residual", "residual_low", "residual_high", "verdict_text")
"""Columns of the joint verdict on a configuration."""


def with_verdicts(rows: pd.DataFrame, judged: Mapping[Key, Judgement]) -> pd.DataFrame:
    """Return rows of configurations with the columns `VERDICT`.

    verdict: None without one; residual, residual_low, residual_high: the joint residual memory and
    its interval, NaN without one; verdict_text: the verdict, or why there is none, in a sentence.
    """
    found = [judged.get(tuple(key)) for key in rows[list(CONFIGURED)].to_numpy()]
    table = pd.DataFrame(list(map(_columns, found)), columns=list(VERDICT), index=rows.index)
    return pd.concat([rows.drop(columns=list(VERDICT), errors="ignore"), table], axis=1).copy()


def _columns(judgement: Judgement | None) -> tuple[Any, ...]:
    if judgement is None:
        return None, math.nan, math.nan, math.nan, ""
    joint = judgement.joint
    ends = (joint.value, joint.low, joint.high) if joint else (math.nan,) * 3
    return judgement.verdict, *ends, judgement.text()


TASK = ("study", "dataset", "seed")
NOBODY = OfSeed(original={}, retrained=())


def _references(rows: pd.DataFrame) -> dict[Key, OfSeed]:
    """Return the references of each study, data set and seed that has an original."""
    references = {}
    for key, of_task in rows.groupby(list(TASK), sort=False):
        original = _metrics(of_task[of_task["method"] == "original"])
        retrained = _metrics(of_task[of_task["method"] == "retrain"])
        references[key] = OfSeed(original=original[0] if original else {}, retrained=retrained)
    return references


def _count(number: float) -> int:
    return 0 if pd.isna(number) else round(number)


def _metrics(rows: pd.DataFrame) -> list[dict[str, float]]:
    """Return the metrics that verdicts rest on, row by row."""
    names = [*SELECTION, "retain_acc"]
    return [
        {name: float(value) for name, value in zip(names, values, strict=True) if pd.notna(value)}
        for values in rows[names].to_numpy()
    ]


def _keys(rows: pd.DataFrame, names: tuple[str, ...]) -> list[Key]:
    return list(zip(*(rows[name] for name in names), strict=True))
