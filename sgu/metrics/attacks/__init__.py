"""Attacks on one model, by name; `attack_table` reports the results of all of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

from sgu.metrics.attacks.classifiers import Boosted, linear_svc, loss, rbf_svc
from sgu.metrics.attacks.judging import Attack, Judged, Record, cross_fit
from sgu.metrics.attacks.threshold import Threshold
from sgu.metrics.scored import Scored

ATTACKS: dict[str, Callable[[], Attack]] = {
    "loss": loss,
    "linear_svc": linear_svc,
    "rbf_svc": rbf_svc,
    "boosted": Boosted,
    "threshold": Threshold,
}


def attack_table(scored: Mapping[str, Scored], names: Iterable[str] = ATTACKS) -> list[Record]:
    """Return the results of the attacks on a model's scored splits, forget against test examples of
    the same classes; if retain is among the splits, also each attack's AUC on retain."""
    return [_record(scored, name) for name in names]


def against_test(name: str, scored: Mapping[str, Scored], split: str) -> Judged:
    """Return a split and test examples of its classes, judged by the attack `name`."""
    members = scored[split]
    return cross_fit(ATTACKS[name], members, scored["test"].of_classes(members.targets))


def _record(scored: Mapping[str, Scored], name: str) -> Record:
    record = against_test(name, scored, "forget").record(name)
    if "retain" not in scored:
        return record
    return replace(record, retain_mia_auc=against_test(name, scored, "retain").auc())
