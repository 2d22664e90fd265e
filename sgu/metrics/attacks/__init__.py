"""Attacks on one model, by name, and what all of them find; `attack_table` is their report."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Literal

from sgu.metrics.attacks.base import Attack
from sgu.metrics.attacks.boosted import Boosted
from sgu.metrics.attacks.judging import Judged, Record, cross_fit, record_of, report
from sgu.metrics.attacks.linear_svc import LinearSvc
from sgu.metrics.attacks.loss import Loss
from sgu.metrics.attacks.rbf_svc import RbfSvc
from sgu.metrics.attacks.threshold import Threshold
from sgu.metrics.scored import Scored

__all__ = [
    "ATTACKS",
    "Attack",
    "Judged",
    "Record",
    "attack_table",
    "cross_fit",
    "record_of",
    "report",
]

ATTACKS: dict[str, Callable[[], Attack]] = {
    "loss": Loss,
    "linear_svc": LinearSvc,
    "rbf_svc": RbfSvc,
    "boosted": Boosted,
    "threshold": Threshold,
}


def attack_table(
    scored: Mapping[str, Scored],
    against: Literal["test", "val"] = "test",
    names: Sequence[str] | None = None,
    seed: int = 0,
) -> list[Record]:
    """What each attack (None: all) finds, forget against `against`, of a model as `score_task`
    scored it; where retain was scored, also whether unlearning exposes those who stay."""
    return [_record(scored, against, name, seed) for name in (ATTACKS if names is None else names)]


def attack_of(name: str) -> Callable[[], Attack]:
    if name not in ATTACKS:
        raise ValueError(f"attack is {name!r}: must be one of {', '.join(ATTACKS)}")
    return ATTACKS[name]


def _record(scored: Mapping[str, Scored], against: str, name: str, seed: int) -> Record:
    make, forget = attack_of(name), scored["forget"]
    peers = scored[against].of_classes(forget.targets)
    found = report(make, forget, peers, attack=name, against=against, seed=seed)
    if "retain" not in scored:
        return found
    retain = scored["retain"]
    stay = cross_fit(make, retain, scored[against].of_classes(retain.targets), seed)
    return replace(found, retain_mia_auc=stay.auc(seed=seed))
