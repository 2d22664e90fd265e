"""The page's first screen: did it forget, what did it cost, may it be used; in two sentences."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import pandas as pd

from analysis.choose import Choice, NoChoice, choose
from analysis.configurations import configurations, of_cell, searched
from analysis.formats import memory_text, metric_text, setting_text
from analysis.pareto import eligible
from analysis.report.study import Certified, Study
from analysis.residual import Key, judgements, with_verdicts
from analysis.summary import controls, is_no_game, power
from sgu.results.schema import REFERENCES
from sgu.results.verdicts import Judgement

LEFT = "{} % ({} to {})"


def answer(study: Study, data: str) -> dict[str, Any]:
    """Return the answer for one data set.

    data: its name; good: True if a trial may be chosen; forgot, cost: two sentences; chosen: cell
    and trial_id; why, command: the reasons of the choice, and the call that runs it; power: what
    verdicts of this size see.
    """
    frame = study.frame[study.frame["dataset"] == data]
    judged = judgements(frame)
    sentences = power(judged.values())
    try:
        choice = choose(frame)
    except ValueError as error:
        known = isinstance(error, NoChoice)
        forgot, cost = _without(frame, judged) if known else (f"Not known: {error}.", "")
        return {"data": data, "good": False, "forgot": forgot, "cost": cost, "why": [str(error)],
                "power": sentences}  # fmt: skip
    row = choice.row
    return {
        "data": data,
        "good": True,
        "forgot": _forgot(frame, choice),
        "cost": f"{_cost(frame, row)}; {_use(study, row)}",
        "chosen": (row["cell"], row["trial_id"]),
        "why": list(choice.why),
        "command": choice.command(),
        "power": sentences,
    }


def _forgot(frame: pd.DataFrame, choice: Choice) -> str:
    row = with_verdicts(choice.row.to_frame().T, {_key(choice.row): choice.judgement}).iloc[0]
    found = choice.judgement
    return (
        f"Yes, as far as {found.models} retrained models can tell: {_named(frame, row)}, is like "
        f"retrained, with {memory_text(row, LEFT)} of its memory left, shown to be within "
        f"±{100 * found.margin:.0f} %."
    )


def _without(frame: pd.DataFrame, judged: Mapping[Key, Judgement]) -> tuple[str, str]:
    """Return the two sentences where no trial may be chosen."""
    rows = with_verdicts(eligible(frame, ["val_acc"]), judged)
    rows["reach"] = rows[["residual_low", "residual_high"]].abs().max(axis=1)
    if rows["reach"].isna().all():
        return "Not known: there is no verdict.", rows["verdict_text"].iloc[0]
    near = rows.sort_values("reach").iloc[0]
    joint = judged[_key(near)].joint
    advice = f" {joint.advice}" if joint and joint.advice else ""
    return (
        f"Not shown: of {len(rows)} trials none is shown to be like retrained; the nearest, "
        f"{_named(frame, near)}, is {near['verdict']}, with {memory_text(near, LEFT)} of its "
        "memory left.",
        f"{_cost(frame, near)}; none of them may be used yet.{advice}",
    )


def _named(frame: pd.DataFrame, row: pd.Series) -> str:
    """Return a trial with its method and its searched settings: "trial 0007, sg with alpha 0.5"."""
    rows = configurations(of_cell(frame, row["cell"]))
    names = searched(rows[~rows["control"].astype(bool)]).columns
    known = json.loads(row["config"])
    settings = [f"{name} {setting_text(known[name])}" for name in names if name in known]
    if row["alpha"] == 0 and is_no_game(row.to_frame().T).iloc[0]:
        settings = ["alpha 0"]
    with_settings = f" with {', '.join(settings)}" if settings else ""
    return f"trial {row['trial_id']}, {row['method']}{with_settings}"


def _cost(frame: pd.DataFrame, row: pd.Series) -> str:
    """Return what a trial costs in accuracy and time, beside retraining."""
    means = controls(frame, ["val_acc", "seconds"]).set_index("name")
    if "retrain" not in means.index:
        return f"Its validation accuracy is {metric_text('val_acc', row['val_acc'])} %"
    retrained = means.loc["retrain"]
    points = 100 * (row["val_acc"] - retrained["val_acc"])
    change = f"{abs(points):.1f} points {'better' if points > 0 else 'worse'} than"
    values = [
        metric_text("val_acc", value) for value in (row["val_acc"], retrained.to_dict()["val_acc"])
    ]
    share = row["seconds"] / retrained["seconds"] if retrained["seconds"] else math.nan
    time = "" if math.isnan(share) else f", in {share:.2f} of the time of retraining"
    return f"On val it is {change} retrained models ({values[0]} beside {values[1]} %){time}"


def _use(study: Study, row: pd.Series) -> str:
    name = row["study"]
    found: Certified | None = study.certified.get((name, row["trial_id"]))
    if found is None:
        return f"before you use it, have it audited: sgu-report choose {name} --audit."
    verdict = f"its audit by fresh networks says {found.verdict or 'nothing'} ({found.memory})"
    if found.verdict == "like retrained":
        return f"{verdict}, which confirms it."
    return f"{verdict}, so do not use it yet."


def data_sets(frame: pd.DataFrame) -> list[str]:
    """Return the data sets that have trials of a search."""
    rows = frame[(frame["phase"] == "search") & ~frame["method"].isin(REFERENCES)]
    return sorted(rows["dataset"].dropna().unique())


def _key(row: pd.Series) -> Key:
    return row["study"], row["cell"], row["trial_id"]
