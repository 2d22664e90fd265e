"""What an audit found of each model, as numbers, and as the rows of its Parquet file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from sgu.audit.relearn import Relearned
from sgu.metrics import Estimate, Record, Slice
from sgu.metrics.shadow import Klom
from sgu.results.null_band import Band, Verdict
from sgu.results.rows import Row


@dataclass(frozen=True, kw_only=True)
class Audited:
    """What is known of one model. metrics: as `sgu.results.schema` names them, and
    retain_mia_auc; bands, verdicts: by metric; klom: None where no ensemble could be unlearned
    as it was."""

    metrics: Mapping[str, float]
    bands: Mapping[str, Band]
    verdicts: Mapping[str, Verdict | None]
    attacks: list[Record]
    slices: list[Slice]
    relearned: Relearned
    klom: Klom | None

    def rows(self) -> Iterator[Row]:
        """One number a row: metrics with their bands, attacks and slices with their intervals."""
        for name, value in self.metrics.items():
            band = self.bands.get(name)
            ends = {f"band_{end}": getattr(band, end, None) for end in BAND}
            verdict = self.verdicts.get(name)
            yield {"kind": "metric", "name": name, "value": value, "verdict": verdict} | ends
        for record in self.attacks:
            yield from _of_attack(record)
        for part in self.slices:
            row = {"kind": "slice", "name": part.by, "quantity": part.name}
            yield row | _sizes(part) | _estimate(part.auc) | {"suppressed": part.suppressed}
        for number, steps in enumerate(self.relearned.steps):
            reason = self.relearned.reason if steps is None else None
            row = {"kind": "relearn", "name": "steps", "quantity": f"order {number}"}
            yield row | {"value": steps, "suppressed": reason}
        if self.klom:
            for name in ("forget", "retain", "test", "nothing"):
                for quantity, value in vars(getattr(self.klom, name)).items():
                    row = {"kind": "klom", "name": name, "quantity": quantity}
                    yield row | {"value": value}


@dataclass(frozen=True, kw_only=True)
class Audit:
    """Models by name, `original` first and `retrained` last; seeds: of the networks trained to
    compare with, by what they are; notes: what was left out or taken on trust, and why,
    in one line each."""

    models: Mapping[str, Audited]
    seeds: Mapping[str, list[int]]
    notes: list[str]

    def rows(self) -> list[Row]:
        return [{"model": name} | row for name, made in self.models.items() for row in made.rows()]

    def suppressed(self) -> list[str]:
        """Why a rate of an attack, a part of forget or the steps to relearn it are not shown: once
        each."""
        found = dict[str, dict[str, None]]()
        for model, made in self.models.items():
            reasons = [item for record in made.attacks for item in record.suppressed.items()]
            reasons += [(f"{p.by} {p.name}", p.suppressed) for p in made.slices if p.suppressed]
            if made.relearned.mean is None:
                reasons.append(("relearn_steps", made.relearned.reason))
            for name, why in reasons:
                found.setdefault(f"{name}: {why}", {})[model] = None
        everyone = len(self.models)
        return sorted(
            line if len(models) == everyone else f"{line} ({', '.join(models)})"
            for line, models in found.items()
        )


BAND = ("mean", "sd", "low", "high", "models")
QUANTITIES = ("auc", "tpr_at_1", "tpr_at_01", "retain_mia_auc")


def _of_attack(record: Record) -> Iterator[Row]:
    """A row for each thing that the attack found."""
    row = {"kind": "attack", "name": record.attack} | _sizes(record)
    for name in ("acc", "f1", "advantage"):
        yield row | {"quantity": name, "value": getattr(record, name)}
    for name in QUANTITIES:
        found, reason = _estimate(getattr(record, name)), record.suppressed.get(name)
        if found or reason:
            yield row | {"quantity": name, "suppressed": reason} | found


def _sizes(of: Record | Slice) -> Row:
    return {"members": of.members, "heldout": of.heldout}


def _estimate(found: Estimate | None) -> Row:
    return vars(found) if found else {}
