"""The choice of one configuration: the best on val of those like retrained, within all bounds.

The best of many is best by luck, too, and what keeps some memory is a little more accurate. So
those as good but for chance, by no more than what retrained models differ in, count as equals, and
of these the one with the least sign of memory is chosen, as by the one-standard-error rule
(Breiman et al. 1984, Classification and Regression Trees, section 3.4.3).
"""

from __future__ import annotations

import json
import math
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import pandas as pd
import yaml

from analysis.band import SHARED, chance, limits, uninformative
from analysis.formats import metric_text, unit
from analysis.pareto import check_blind, check_directed, eligible, some
from analysis.residual import Key, judgement_of, judgements
from sgu.results.null_band import ASPECTS, SLACK
from sgu.results.schema import METRICS
from sgu.results.verdicts import MARGIN, Judgement

BOUND = re.compile(r"(<=|>=)\s*([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)")
NEAREST = 3
"""Candidates that are named where none may be chosen."""


class NoChoice(ValueError):
    """No configuration may be chosen; the message names the nearest and what they lack."""

    exit_code = 3


@dataclass(frozen=True, kw_only=True)
class Choice:
    """A configuration to run, and the reasons for it.

    row, runner_up: of `configurations`, the latter the best of the others by the metric (None: no
    other may be chosen); judgement: its verdict;
    settings: everything needed to run it again; why: sentences for people; reported: its metrics on
    test, which had no part in the choice.
    """

    row: pd.Series
    judgement: Judgement
    runner_up: pd.Series | None
    settings: dict[str, Any]
    why: tuple[str, ...]
    reported: dict[str, float]

    def yaml(self) -> str:
        """Return the settings as a study's `experiment:` holds them."""
        return yaml.safe_dump(self.settings)

    def record(self) -> dict[str, Any]:
        """Return the choice as plain values."""
        return {
            "trial": self.row["trial_id"],
            "cell": self.row["cell"],
            "verdict": self.judgement.verdict,
            "why": list(self.why),
            "settings": self.settings,
            "reported": self.reported,
            "command": self.command(),
        }

    def command(self) -> str:
        """Return the call of `sgu` that runs it again."""
        words = [f"{name}={_word(value)}" for name, value in sorted(self.settings.items())]
        return " ".join(["sgu", *(f"--set {shlex.quote(word)}" for word in words)])


def choose(
    frame: pd.DataFrame,
    *,
    maximise: str | None = None,
    minimise: str | None = None,
    where: Mapping[str, str] | None = None,
    verdict: Literal["like retrained", "any"] = "like retrained",
    margin: float = MARGIN,
) -> Choice:
    """Return the best configuration of one data set by one metric, of those with the verdict that
    keep to all bounds.

    maximise, minimise: the metric, one of the two; val_acc without them. where: bounds by metric,
    each "inside" (the null band of the retrained models), "<= 0.6" or ">= 0.6". verdict: the joint
    verdict beside `margin` that it must have, see `analysis.residual`; of those within one standard
    deviation of the retrained models of the best, the one is chosen whose residual memory reaches
    least far from 0 (verdict "any": the best itself). All are means over seeds, and none may read
    the test split. Of equals, the quicker one is chosen. Example:

        choose(load_study("results/default"), where={"seconds": "<= 20"})

    Raises:
        ValueError: a metric or bound that cannot select, a metric that is best at its other end,
            rows that do not compare, or no null band.
        NoChoice: no configuration may be chosen; the message names the nearest.
    """
    if maximise and minimise:
        raise ValueError("give one metric to choose by: maximise=... or minimise=...")
    maximise = None if minimise else maximise or "val_acc"
    metric, bounds = str(maximise or minimise), dict(where or {})
    for name in (metric, *bounds):
        check_blind(name)
    check_directed(metric)
    _check_goal(metric, "min" if maximise is None else "max")
    names = list(dict.fromkeys([metric, *bounds]))
    rows = _comparable(some(eligible(frame, names), names))
    ends = {name: _ends(frame, rows, name, text) for name, text in bounds.items()}
    excess = pd.DataFrame({name: _excess(rows[name], ends[name]) for name in ends}, rows.index)
    within = rows[(excess <= SLACK).all(axis=1)]
    if within.empty:
        raise NoChoice(_nothing(rows, bounds, excess))
    judged = judgements(frame, margin=margin)
    order = [metric, "seconds", "trial_id"]
    ranked = within.sort_values(order, ascending=[maximise is None, True, True], kind="stable")
    equals, those = ranked[:1], "keep to the bounds"
    if verdict != "any":
        ranked, those = _like_retrained(ranked, judged), f"are {verdict}, within the bounds"
        equals = _equals(frame, ranked, metric, judged)
    best = equals.iloc[0]
    others = ranked.drop(index=best.name)
    reasons = [_bound_kept(best, name, bounds[name], ends[name]) for name in bounds]
    empty = uninformative(frame[frame["dataset"] == best["dataset"]])
    reasons += [_empty(name) for name in empty if bounds.get(name, "").strip() == "inside"]
    return Choice(
        row=best,
        runner_up=others.iloc[0] if len(others) else None,
        judgement=judgement_of(judged, best),
        settings=json.loads(best["config"]),
        why=(
            _first(equals, ranked, metric, f"of the {len(ranked)} of {len(rows)} that {those}"),
            judgement_of(judged, best).text(),
            *reasons,
            _seeds(best),
        ),
        reported={name: float(best[name]) for name in METRICS if METRICS[name].reads_test},
    )


def _check_goal(metric: str, goal: str) -> None:
    best = METRICS[metric].goal
    if goal != best:
        raise ValueError(f"{metric} is best at its {best}imum: {best}imise it instead")


def _comparable(rows: pd.DataFrame) -> pd.DataFrame:
    for name in SHARED:
        values = sorted(rows[name].dropna().unique().tolist())
        if len(values) > 1:
            several = ", ".join(map(str, values))
            raise ValueError(
                f"rows of {name} {several} do not compare; keep one of them, such as "
                f"frame[frame[{name!r}] == {values[0]!r}]"
            )
    return rows


def _ends(frame: pd.DataFrame, rows: pd.DataFrame, name: str, text: str) -> pd.DataFrame:
    """Return the values that a metric may lie between, for each row: columns low and high."""
    bound = BOUND.fullmatch(text.strip())
    if bound:
        low, high = -math.inf, math.inf
        low, high = (low, float(bound[2])) if bound[1] == "<=" else (float(bound[2]), high)
        return pd.DataFrame({"low": low, "high": high}, rows.index)
    if text.strip() != "inside":
        raise ValueError(f'{name}: bound {text!r}; expected "inside", "<= 0.6" or ">= 0.6"')
    ends = limits(frame, rows, name)
    if ends["low"].isna().all():
        reason = "2 or more retrained models take one" if name in ASPECTS else "it can have none"
        raise ValueError(f"{name} has no null band here: {reason}; give a bound such as '<= 0.6'")
    return ends


def _excess(values: pd.Series, ends: pd.DataFrame) -> pd.Series:
    """Return how far outside each value is: <= 0 within, infinite without a band."""
    outside = pd.concat([ends["low"] - values, values - ends["high"]], axis=1).max(axis=1)
    return outside.where(ends["low"].notna(), math.inf)


def _like_retrained(rows: pd.DataFrame, judged: Mapping[Key, Judgement]) -> pd.DataFrame:
    """Return the rows whose joint verdict is like retrained; raise NoChoice if there are none."""
    verdicts = [judgement_of(judged, row) for _, row in rows.iterrows()]
    like = [judgement.verdict == "like retrained" for judgement in verdicts]
    if any(like):
        return rows[like]
    pairs = zip(rows["trial_id"], verdicts, strict=True)
    nearest = sorted(pairs, key=lambda pair: pair[1].joint.farthest if pair[1].joint else math.inf)
    named = " ".join(f"Trial {name}: {judgement.text()}" for name, judgement in nearest[:NEAREST])
    raise NoChoice(f"no configuration of {len(rows)} is shown to be like retrained. {named}")


def _nothing(rows: pd.DataFrame, bounds: Mapping[str, str], excess: pd.DataFrame) -> str:
    counts = [f"{(excess[name] <= SLACK).sum()} keep {name} {bounds[name]}" for name in bounds]
    missed = (excess > SLACK).sum(axis=1)
    scaled = (excess / excess.where(excess > 0).median()).clip(lower=0).sum(axis=1)
    nearest = rows.loc[scaled[missed == missed.min()].idxmin()]
    values = ", ".join(f"{name} {_value(name, nearest[name])}" for name in bounds)
    return (
        f"no configuration of {len(rows)} keeps to all bounds ({'; '.join(counts)}). Closest is "
        f"trial {nearest['trial_id']} with {values}: loosen a bound, or search on"
    )


def _equals(
    frame: pd.DataFrame, ranked: pd.DataFrame, metric: str, judged: Mapping[Key, Judgement]
) -> pd.DataFrame:
    """Return the rows that are as good as the first but for chance, the one first whose residual
    memory reaches least far from 0."""
    short = (ranked[metric] - ranked[metric].iloc[0]).abs()
    equals = ranked[short <= chance(frame, ranked.iloc[0], metric) + SLACK]
    joints = [judgement_of(judged, row).joint for _, row in equals.iterrows()]
    reach = pd.Series([joint.farthest if joint else math.inf for joint in joints], equals.index)
    return equals.loc[reach.sort_values(kind="stable").index]


def _first(equals: pd.DataFrame, ranked: pd.DataFrame, metric: str, among: str) -> str:
    """Return what the choice, the first of `equals`, has before the others."""
    best, top = equals.iloc[0], ranked.iloc[0]
    name, value = f"Trial {best['trial_id']} of {best['cell']}", _value(metric, best[metric])
    if best["trial_id"] != top["trial_id"]:
        return (
            f"{name}, with {metric} {value}, shows the least memory of the {len(equals)} that are, "
            f"but for chance, as good as the best (trial {top['trial_id']}, "
            f"{_value(metric, top[metric])}), {among}."
        )
    text = f"{name} has the best {metric}, {value}, {among}"
    if len(ranked) == 1:
        return f"{text}."
    second = ranked.iloc[1]
    return f"{text}, before trial {second['trial_id']} with {_value(metric, second[metric])}."


def _bound_kept(best: pd.Series, name: str, bound: str, ends: pd.DataFrame) -> str:
    value = f"Its {name} is {_value(name, best[name])}"
    if bound.strip() != "inside":
        return f"{value}, within {bound}."
    low, high = (metric_text(name, end) for end in ends.loc[[best.name]].to_numpy()[0])
    return f"{value}, inside the retrained models' {low} to {high}."


def _empty(name: str) -> str:
    return (
        f"But by {name} the original, which has forgotten nothing, is inside, too: this shows no "
        "forgetting. More retrained models (oracles) make the band narrower."
    )


def _seeds(best: pd.Series) -> str:
    if best["seeds"] == 1:
        return "All of it rests on one seed: run it on others before it is trusted."
    return f"All are means over {best['seeds']} seeds."


def _value(name: str, value: float) -> str:
    return f"{metric_text(name, value)} {unit(name)}"


def _word(value: Any) -> str:
    """Return a setting as `sgu --set` reads it: JSON, or plain text."""
    return value if isinstance(value, str) else json.dumps(value)
