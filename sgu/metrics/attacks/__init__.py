"""Attacks on one model, by name; `attack_table` reports the results of all of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Literal

from sgu.metrics.attacks.classifiers import Boosted, linear_svc, loss, rbf_svc
from sgu.metrics.attacks.judging import Attack, Judged, Record, cross_fit
from sgu.metrics.attacks.threshold import Threshold
from sgu.metrics.scored import Scored

__all__ = [
    "ATTACKS",
    "Attack",
    "Judged",
    "Record",
    "attack_table",
    "cross_fit",
]

ATTACKS: dict[str, Callable[[], Attack]] = {
    "loss": loss,
    "linear_svc": linear_svc,
    "rbf_svc": rbf_svc,
    "boosted": Boosted,
    "threshold": Threshold,
}


def attack_table(
    scored: Mapping[str, Scored],
    against: Literal["test", "val"] = "test",
    names: Sequence[str] | None = None,
    seed: int = 0,
) -> list[Record]:
    """Return the results of each attack (None: of all), forget against `against`, from a model's
    scored splits; if retain is among them, also the attack's AUC on retain."""
    return [_record(scored, against, name, seed) for name in (ATTACKS if names is None else names)]


def attack_of(name: str) -> Callable[[], Attack]:
    """Return what makes a new attack of a name. Raises ValueError for an unknown one."""
    if name not in ATTACKS:
        raise ValueError(f"attack is {name!r}: must be one of {', '.join(ATTACKS)}")
    return ATTACKS[name]


def _record(scored: Mapping[str, Scored], against: str, name: str, seed: int) -> Record:
    make, forget = attack_of(name), scored["forget"]
    peers = scored[against].of_classes(forget.targets)
    record = cross_fit(make, forget, peers, seed).record(name, against, seed)
    if "retain" not in scored:
        return record
    retain = scored["retain"]
    judged = cross_fit(make, retain, scored[against].of_classes(retain.targets), seed)
    return replace(record, retain_mia_auc=judged.auc(seed=seed))
