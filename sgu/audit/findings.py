"""The findings of an audit on each model, as numbers and as the rows of its Parquet file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from sgu.audit.relearn import Relearned
from sgu.metrics import Estimate, Record, Slice
from sgu.metrics.shadow import Klom
from sgu.results.null_band import MEMORY, Band
from sgu.results.rows import Row
from sgu.results.verdicts import Judgement, Residual

BAND = ("mean", "sd", "low", "high", "models")
QUANTITIES = ("auc", "tpr_at_1", "tpr_at_01", "retain_mia_auc")


@dataclass(frozen=True, kw_only=True)
class Audited:
    """The findings on one model. metrics: as `sgu.results.schema` names them, and retain_mia_auc;
    bands: by metric; klom: None if no ensemble could be unlearned as it was; judgement: the joint
    verdict beside the original, None without retrained models; residuals: by each metric of memory
    that has power at this size; blind: those that have none."""

    metrics: Mapping[str, float]
    bands: Mapping[str, Band]
    attacks: list[Record]
    slices: list[Slice]
    relearned: Relearned | None
    klom: Klom | None
    judgement: Judgement | None
    residuals: Mapping[str, Residual]
    blind: tuple[str, ...]

    def side(self, name: str) -> str:
        """Return on which side of its band a metric lies that is not of memory; "" inside."""
        band = self.bands.get(name)
        return "" if band is None or name in MEMORY else band.side(self.metrics[name])

    @property
    def by_attack(self) -> dict[str, Record]:
        return {record.attack: record for record in self.attacks}

    def rows(self) -> Iterator[Row]:
        """Yield one number a row: metrics with bands, attacks and slices with intervals."""
        for name, value in self.metrics.items():
            band = self.bands.get(name)
            ends = {f"band_{end}": getattr(band, end, None) for end in BAND}
            row = {"kind": "metric", "name": name, "value": value}
            yield row | {"verdict": self.side(name) or None} | ends
        yield from self._residuals()
        for record in self.attacks:
            yield from _of_attack(record)
        for part in self.slices:
            row = {"kind": "slice", "name": part.by, "quantity": part.name}
            yield row | _sizes(part) | _estimate(part.auc) | {"suppressed": part.suppressed}
        for number, steps in enumerate(self.relearned.steps if self.relearned else ()):
            reason = Relearned.reason if steps is None else None
            row = {"kind": "relearn", "name": "steps", "quantity": f"order {number}"}
            yield row | {"value": steps, "suppressed": reason}
        for name in ("forget", "retain", "test", "nothing") if self.klom else ():
            for quantity, value in vars(getattr(self.klom, name)).items():
                yield {"kind": "klom", "name": name, "quantity": quantity, "value": value}

    def _residuals(self) -> Iterator[Row]:
        """Yield the residual memory, jointly and by each metric, or why there is none."""
        row: Row = {"kind": "residual"}
        judged = self.judgement
        if judged and judged.verdict is None:
            yield row | {"name": "joint", "value": None, "suppressed": judged.reason}
        joint = judged.by_metric.get("joint") if judged else None
        for residual in filter(None, [joint, *self.residuals.values()]):
            ends = {end: getattr(residual, end) for end in ("value", "low", "high", "verdict")}
            yield row | {"name": residual.metric} | ends
        for name in self.blind:
            yield row | {"name": name, "value": None, "suppressed": "no power at this size"}


@dataclass(frozen=True, kw_only=True)
class Audit:
    """Models by name, `original` first and `retrained` last; seeds: of the networks trained to
    compare with, by what they are; notes: what was left out or taken on trust, and why,
    in one line each."""

    models: Mapping[str, Audited]
    seeds: Mapping[str, list[int]]
    notes: list[str]

    @property
    def attacks(self) -> list[str]:
        """Return the names of all attacks, each once."""
        return list(dict.fromkeys(name for m in self.models.values() for name in m.by_attack))

    def rows(self) -> list[Row]:
        return [{"model": name} | row for name, m in self.models.items() for row in m.rows()]

    def verdicts(self) -> dict[str, Row]:
        """Return the joint verdict on each model, None where there is none, and its reasons."""
        return {
            name: {"verdict": found.judgement.verdict, "text": found.judgement.text()}
            for name, found in self.models.items()
            if found.judgement
        }

    def suppressed(self) -> list[str]:
        """Return why a rate of an attack, a part of forget or the steps to relearn it are not
        shown, once each."""
        models = dict[str, dict[str, None]]()
        for model, findings in self.models.items():
            reasons = [item for record in findings.attacks for item in record.suppressed.items()]
            reasons += [(f"{p.by} {p.name}", p.suppressed) for p in findings.slices if p.suppressed]
            if findings.relearned and findings.relearned.mean is None:
                reasons.append(("relearn_steps", findings.relearned.reason))
            for name, why in reasons:
                models.setdefault(f"{name}: {why}", {})[model] = None
        return sorted(
            line if len(names) == len(self.models) else f"{line} ({', '.join(names)})"
            for line, names in models.items()
        )


def _of_attack(record: Record) -> Iterator[Row]:
    """Yield a row for each thing that the attack found."""
    row = {"kind": "attack", "name": record.attack} | _sizes(record)
    for name in ("acc", "f1", "advantage"):
        yield row | {"quantity": name, "value": getattr(record, name)}
    for name in QUANTITIES:
        estimate, reason = _estimate(getattr(record, name)), record.suppressed.get(name)
        if estimate or reason:
            yield row | {"quantity": name, "suppressed": reason} | estimate


def _sizes(judged: Record | Slice) -> Row:
    return {"members": judged.members, "heldout": judged.heldout}


def _estimate(estimate: Estimate | None) -> Row:
    return vars(estimate) if estimate else {}
